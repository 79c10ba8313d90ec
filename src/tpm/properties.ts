// TPM_CAP_TPM_PROPERTIES: fixed properties of this TPM and those that follow from its state.

import { utf8 } from '../base/bytes.ts';
import { CURVE_IDS } from './algorithms.ts';
import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';

const FAMILY = 0x322e3000;
/** Revision 1.59 of the library specification: 8 November 2019. */
const REVISION = 159;
const DAY_OF_YEAR = 312;
const YEAR = 2019;
export const FIRMWARE_VERSION = 0x2026112200160000n;

const fourOctets = (text: string): number => {
  const octets = utf8(text.padEnd(4, '\0'));
  return new DataView(octets.buffer, octets.byteOffset).getUint32(0);
};

/** @tcg Part 2, 6.13 TPM_PT, PT_FIXED */
function fixedProperties(tpm: TpmCursor, commands: number): readonly (readonly [number, number])[] {
  const { config } = tpm.state;
  return [
    [0x100, FAMILY],
    [0x101, 0],
    [0x102, REVISION],
    [0x103, DAY_OF_YEAR],
    [0x104, YEAR],
    [0x105, fourOctets(config.manufacturer)],
    [0x106, fourOctets('SW  ')],
    [0x107, fourOctets(' TPM')],
    [0x108, 0],
    [0x109, 0],
    [0x10a, 1],
    [0x10b, Number(FIRMWARE_VERSION >> 32n)],
    [0x10c, Number(FIRMWARE_VERSION & 0xffffffffn)],
    [0x10d, c.MAX_DIGEST_BUFFER],
    [0x10e, config.objectSlots],
    [0x10f, 7],
    [0x110, config.sessionSlots],
    [0x111, c.MAX_ACTIVE_SESSIONS],
    [0x112, c.IMPLEMENTATION_PCR],
    [0x113, c.PCR_SELECT_MAX],
    [0x114, 0xffff],
    [0x116, 0],
    [0x117, c.MAX_NV_INDEX_SIZE],
    [0x118, 6],
    [0x119, 4096],
    [0x11a, c.TPM_ALG_SHA512],
    [0x11b, c.TPM_ALG_AES],
    [0x11c, 256],
    [0x11d, 255],
    [0x11e, c.MAX_COMMAND_SIZE],
    [0x11f, c.MAX_COMMAND_SIZE],
    [0x120, c.MAX_DIGEST],
    [0x121, 2692],
    [0x122, 404],
    [0x123, FAMILY],
    [0x124, 0],
    [0x125, REVISION],
    [0x126, DAY_OF_YEAR],
    [0x127, YEAR],
    [0x128, 128],
    [0x129, commands],
    [0x12a, commands],
    [0x12b, 0],
    [0x12c, c.MAX_NV_BUFFER_SIZE],
    [0x12d, 0],
    [0x12e, 1024],
  ];
}

/** TPMA_PERMANENT (Part 2, 8.6) */
function permanentAttributes(tpm: TpmCursor): number {
  const { nv } = tpm.state;
  return (
    (nv.owner.auth.length > 0 ? 1 : 0) |
    (nv.endorsement.auth.length > 0 ? 2 : 0) |
    (nv.lockout.auth.length > 0 ? 4 : 0) |
    (nv.disableClear ? 0x100 : 0) |
    (nv.failedTries >= nv.maxTries ? 0x200 : 0) |
    0x400
  );
}

/** TPMA_STARTUP_CLEAR (Part 2, 8.7) */
function startupClearAttributes(tpm: TpmCursor): number {
  const { clear } = tpm.state;
  const bits =
    (clear.phEnable ? 1 : 0) |
    (clear.shEnable ? 2 : 0) |
    (clear.ehEnable ? 4 : 0) |
    (clear.phEnableNv ? 8 : 0);
  return (bits | (tpm.state.clock.clockSafe ? 0x80000000 : 0)) >>> 0;
}

/** @tcg Part 2, 6.13 TPM_PT, PT_VAR */
function variableProperties(tpm: TpmCursor): readonly (readonly [number, number])[] {
  const { nv, ram, reset, config } = tpm.state;
  const counters = nv.nvIndices.filter((i) => c.nvType(i.public.attributes) === c.TPM_NT_COUNTER).size;
  const active = ram.sessions.size + reset.savedSessions.size;
  const freeObjects = Math.max(0, config.objectSlots - ram.objects.size);
  return [
    [0x200, permanentAttributes(tpm)],
    [0x201, startupClearAttributes(tpm)],
    [0x202, nv.nvIndices.size],
    [0x203, ram.sessions.size],
    [
      0x204,
      Math.max(
        0,
        Math.min(config.sessionSlots, c.MAX_ACTIVE_SESSIONS - active + ram.sessions.size) - ram.sessions.size,
      ),
    ],
    [0x205, active],
    [0x206, c.MAX_ACTIVE_SESSIONS - active],
    [0x207, freeObjects],
    [0x208, nv.objects.size],
    [0x209, Math.max(0, config.persistentSlots - nv.objects.size)],
    [0x20a, counters],
    [0x20b, 25],
    [0x20c, nv.algorithmSet],
    [0x20d, CURVE_IDS.length],
    [0x20e, nv.failedTries],
    [0x20f, nv.maxTries],
    [0x210, nv.recoveryTime],
    [0x211, nv.lockoutRecovery],
    [0x212, 0],
    [0x213, Number(nv.auditCounter >> 32n)],
    [0x214, Number(nv.auditCounter & 0xffffffffn)],
  ];
}

/** All properties in the order of their numbers. */
export function tpmProperties(tpm: TpmCursor, commands: number): readonly (readonly [number, number])[] {
  return [...fixedProperties(tpm, commands), ...variableProperties(tpm)];
}
