// Part 3, chapters 21 and 26: command audit, physical presence commands, algorithm sets.

import { type Command, command, user } from '../command.ts';
import * as c from '../constants.ts';
import { Uint32 } from '../marshal.ts';
import * as rc from '../rc.ts';
import { TpmiAlgHashNull, TpmiRhPlatform, TpmiRhProvision, TpmlCc } from '../structures.ts';

const CC_SET_COMMAND_CODE_AUDIT_STATUS = 0x140;

/** `list` with some codes added and some removed, ascending. */
function changed(
  list: readonly number[],
  add: readonly number[],
  remove: readonly number[],
): readonly number[] {
  const set = new Set([...list, ...add]);
  for (const code of remove) set.delete(code);
  return [...set].sort((a, b) => a - b);
}

/**
 * Which commands can be audited depends on the list of all commands.
 * @tcg Part 3, 21.2 TPM2_SetCommandCodeAuditStatus
 */
export function setCommandCodeAuditStatus(find: (code: number) => Command | undefined): Command {
  return command({
    code: CC_SET_COMMAND_CODE_AUDIT_STATUS,
    name: 'SetCommandCodeAuditStatus',
    handles: { auth: user(TpmiRhProvision) },
    parameters: { auditAlg: TpmiAlgHashNull, setList: TpmlCc, clearList: TpmlCc },
    response: {},
    nv: true,
    pp: 'command',
    run(tpm, { auditAlg, setList, clearList }) {
      const { nv } = tpm.state;
      if (auditAlg !== c.TPM_ALG_NULL && auditAlg !== nv.auditHashAlg) {
        if (setList.length !== 0 || clearList.length !== 0) return rc.rcParameter(1, rc.TPM_RC_VALUE);
        tpm.setNv({ auditHashAlg: auditAlg });
        // One octet marks the change: this command itself is not audited with either algorithm.
        tpm.setReset({ commandAuditDigest: new Uint8Array(1) });
        return {};
      }
      const auditable = setList.filter((code) => (find(code)?.name ?? 'Shutdown') !== 'Shutdown');
      const clearable = clearList.filter((code) => code !== CC_SET_COMMAND_CODE_AUDIT_STATUS);
      tpm.setNv({ auditCommands: changed(nv.auditCommands, auditable, clearable) });
      return {};
    },
  });
}

/**
 * @tcg Part 3, 26.2 TPM2_PP_Commands
 */
export function ppCommands(find: (code: number) => Command | undefined): Command {
  return command({
    code: 0x12d,
    name: 'PP_Commands',
    handles: { auth: user(TpmiRhPlatform) },
    parameters: { setList: TpmlCc, clearList: TpmlCc },
    response: {},
    nv: true,
    pp: 'required',
    run(tpm, { setList, clearList }) {
      const settable = setList.filter((code) => find(code)?.pp === 'command');
      tpm.setNv({ ppCommands: changed(tpm.state.nv.ppCommands, settable, clearList) });
      return {};
    },
  });
}

/** @tcg Part 3, 26.3 TPM2_SetAlgorithmSet */
export const setAlgorithmSet = command({
  code: 0x13f,
  name: 'SetAlgorithmSet',
  handles: { authHandle: user(TpmiRhPlatform) },
  parameters: { algorithmSet: Uint32 },
  response: {},
  nv: true,
  run(tpm, { algorithmSet }) {
    tpm.setNv({ algorithmSet });
    return {};
  },
});
