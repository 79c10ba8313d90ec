// Part 3, chapter 9: TPM2_Startup and TPM2_Shutdown. Whether a start is a TPM Reset, Restart or Resume
// follows from the last orderly shutdown and from the start-up type.

import { EMPTY } from '../../base/bytes.ts';
import { step } from '../../base/table.ts';
import { command } from '../command.ts';
import * as c from '../constants.ts';
import type { TpmCursor } from '../cursor.ts';
import { Drbg } from '../drbg.ts';
import { startLockout } from '../lockout.ts';
import { enabledClearState, freshResetState } from '../manufacture.ts';
import { isNoIncrementPcr, pcrAttributes, startBanks } from '../pcr.ts';
import * as rc from '../rc.ts';
import { startupTable } from '../startup.machine.ts';
import type { NvIndex } from '../state.ts';
import { TpmSu } from '../structures.ts';

type StartupType = 'reset' | 'restart' | 'resume';

/** Volatile bits of the NV indices that a start clears. */
function startNvIndices(tpm: TpmCursor, type: StartupType): void {
  if (type === 'resume') return;
  const { nv, clear } = tpm.state;
  const indices = nv.nvIndices.map((index: NvIndex): NvIndex => {
    let { attributes } = index.public;
    let { data } = index;
    // WRITEDEFINE keeps its lock over restarts once it was set.
    const kept = (attributes & c.TPMA_NV_WRITEDEFINE) !== 0 && (attributes & c.TPMA_NV_WRITTEN) !== 0;
    attributes &= ~c.TPMA_NV_READLOCKED;
    if (!kept) attributes &= ~c.TPMA_NV_WRITELOCKED;
    if ((attributes & c.TPMA_NV_CLEAR_STCLEAR) !== 0) attributes &= ~c.TPMA_NV_WRITTEN;
    const lostOrderly =
      (attributes & c.TPMA_NV_ORDERLY) !== 0 && type === 'reset' && nv.orderlyState < 0 && clear !== null;
    if (lostOrderly && c.nvType(attributes) !== c.TPM_NT_COUNTER) {
      attributes &= ~c.TPMA_NV_WRITTEN;
      data = new Uint8Array(data.length);
    }
    return { ...index, public: { ...index.public, attributes: attributes >>> 0 }, data };
  });
  tpm.setNv({ nvIndices: indices });
}

function startPcrs(tpm: TpmCursor, type: StartupType, locality: number): void {
  tpm.setNv({ pcrAllocated: tpm.state.nv.pcrAllocatedNext });
  const { state } = tpm;
  const restored = type === 'resume' ? (state.saved?.pcr ?? null) : null;
  const hcrtm = state.ram.drtmPreStartup && type !== 'resume' ? state.pcr : null;
  const pcr = startBanks(state.nv.pcrAllocated, locality, restored, hcrtm);
  let counter = type === 'reset' ? 0 : state.reset.pcrCounter;
  for (let i = 0; i < c.IMPLEMENTATION_PCR; i++) {
    const saved = type === 'resume' && pcrAttributes(i).stateSave;
    if (!saved && !isNoIncrementPcr(i)) counter++;
  }
  tpm.state = { ...tpm.state, pcr };
  tpm.setReset({ pcrCounter: counter });
}

function startPartitions(tpm: TpmCursor, type: StartupType): void {
  const { state } = tpm;
  if (type === 'reset') {
    const random = new Drbg(state.drbg);
    const reset = freshResetState(random, state.config);
    tpm.state = { ...tpm.state, drbg: random.state, reset, clear: enabledClearState() };
    tpm.setNv({
      resetCount: (state.nv.resetCount + 1) >>> 0,
      totalResetCount: state.nv.totalResetCount + 1n,
    });
    return;
  }
  const reset = state.saved?.reset ?? state.reset;
  const clearCount = type === 'restart' ? reset.clearCount + 1 : reset.clearCount;
  const clear = type === 'resume' ? (state.saved?.clear ?? state.clear) : enabledClearState();
  tpm.state = { ...tpm.state, reset: { ...reset, clearCount, restartCount: reset.restartCount + 1 }, clear };
}

/** @tcg Part 3, 9.3 TPM2_Startup */
export const startup = command({
  code: 0x144,
  name: 'Startup',
  handles: {},
  parameters: { startupType: TpmSu },
  response: {},
  nv: true,
  noSessions: true,
  run(tpm, { startupType }, { locality }) {
    if (locality !== 0 && locality !== 3) return rc.TPM_RC_LOCALITY;
    const { nv, ram } = tpm.state;
    const startLocality = ram.drtmPreStartup ? 0 : locality;
    const orderly = nv.orderlyState;
    if (startupType === c.TPM_SU_STATE) {
      if (orderly !== c.TPM_SU_STATE) return rc.rcParameter(1, rc.TPM_RC_VALUE);
      if (ram.drtmPreStartup !== nv.preStartupDrtm) return rc.rcParameter(1, rc.TPM_RC_VALUE);
      if ((startLocality === 3) !== nv.startupLocality3) return rc.TPM_RC_LOCALITY;
    }
    const saved = orderly === c.TPM_SU_STATE;
    const type: StartupType = !saved ? 'reset' : startupType === c.TPM_SU_STATE ? 'resume' : 'restart';
    startPartitions(tpm, type);
    startPcrs(tpm, type, startLocality);
    startNvIndices(tpm, type);
    startLockout(tpm, type === 'resume', orderly);
    if (type !== 'resume') tpm.setClear({ pcrAuth: EMPTY });
    if (orderly < 0 && nv.totalResetCount > 0n) tpm.setClock({ clockSafe: false });
    tpm.setNv({
      orderlyState: -1,
      startupLocality3: startLocality === 3,
      preStartupDrtm: ram.drtmPreStartup,
    });
    tpm.state = { ...tpm.state, life: step(startupTable, tpm.state.life, 'STARTUP'), saved: null };
    const hcrtm = ram.drtmPreStartup && type !== 'resume' ? { hcrtm: true } : {};
    tpm.emit('tpm.startup', { type, locality, ...hcrtm });
    return {};
  },
});

/** @tcg Part 3, 9.4 TPM2_Shutdown */
export const shutdown = command({
  code: 0x145,
  name: 'Shutdown',
  handles: {},
  parameters: { shutdownType: TpmSu },
  response: {},
  nv: true,
  run(tpm, { shutdownType }) {
    const { state } = tpm;
    if (state.ram.pcrReconfigured && shutdownType === c.TPM_SU_STATE) {
      return rc.rcParameter(1, rc.TPM_RC_TYPE);
    }
    const saved = { pcr: state.pcr, reset: state.reset, clear: state.clear };
    tpm.state = {
      ...state,
      saved: shutdownType === c.TPM_SU_STATE ? saved : null,
      life: step(startupTable, state.life, 'SHUTDOWN'),
    };
    tpm.setNv({ orderlyState: shutdownType });
    tpm.emit('tpm.shutdown', { type: shutdownType === c.TPM_SU_STATE ? 'state' : 'clear' });
    return {};
  },
});
