// Part 3, chapter 30: TPM2_GetCapability, TPM2_TestParms. What the TPM has is read from the same tables that
// it works with.

import { ALGORITHM_PROPERTIES, CURVE_IDS } from '../algorithms.ts';
import { type Command, command, commandAttributes } from '../command.ts';
import * as c from '../constants.ts';
import type { TpmCursor } from '../cursor.ts';
import { Uint32 } from '../marshal.ts';
import { isGuardedPcr, isNoIncrementPcr, PCR_ATTRIBUTES, selectBits } from '../pcr.ts';
import { tpmProperties } from '../properties.ts';
import * as rc from '../rc.ts';
import { isCapability, TpmiYesNo, TpmsCapabilityData } from '../structures.ts';
import { TpmtPublicParms } from '../structures-object.ts';

const CAPABILITY_BYTES = 1024 - 8;
const MAX_CAP_HANDLES = 254;
const MAX_CAP_CC = 256;
const MAX_TAGGED = 127;

interface Page {
  readonly more: boolean;
  readonly data: readonly unknown[];
}

/** Up to `count` items from an ascending list, beginning at `first`. */
function page<T>(
  items: readonly T[],
  key: (item: T) => number,
  first: number,
  count: number,
  max: number,
): Page {
  const from = items.filter((item) => key(item) >= first);
  const n = Math.min(count, max);
  return { more: from.length > n, data: from.slice(0, n) };
}

const self = (n: number): number => n;
const ascending = (items: Iterable<number>): number[] => [...items].sort((a, b) => a - b);

const PERMANENT: readonly number[] = [
  c.TPM_RH_OWNER,
  c.TPM_RH_NULL,
  c.TPM_RS_PW,
  c.TPM_RH_LOCKOUT,
  c.TPM_RH_ENDORSEMENT,
  c.TPM_RH_PLATFORM,
  c.TPM_RH_PLATFORM_NV,
];

function handlesOf(tpm: TpmCursor, type: number): readonly number[] | null {
  const { nv, ram, reset } = tpm.state;
  switch (type) {
    case c.TPM_HT_PCR:
      return Array.from({ length: c.IMPLEMENTATION_PCR }, (_, i) => i);
    case c.TPM_HT_NV_INDEX:
      return ascending(nv.nvIndices.keys());
    case c.TPM_HT_HMAC_SESSION:
      // Loaded sessions of both kinds, under their own handles.
      return ascending(ram.sessions.keys());
    case c.TPM_HT_POLICY_SESSION:
      // Saved sessions are listed as HMAC sessions: which kind they are is in their context.
      return ascending(reset.savedSessions.keys()).map((slot) => c.HMAC_SESSION_FIRST + slot);
    case c.TPM_HT_PERMANENT:
      return PERMANENT;
    case c.TPM_HT_TRANSIENT:
      return ascending(ram.objects.keys());
    case c.TPM_HT_PERSISTENT:
      return ascending(nv.objects.keys());
    default:
      return null;
  }
}

function handlePage(tpm: TpmCursor, property: number, count: number): Page | number {
  const type = c.handleType(property);
  const handles = handlesOf(tpm, type);
  if (handles === null) return rc.rcParameter(2, rc.TPM_RC_HANDLE);
  if (type === c.TPM_HT_HMAC_SESSION || type === c.TPM_HT_POLICY_SESSION) {
    return page(handles, (h) => h & 0xffffff, property & 0xffffff, count, MAX_CAP_HANDLES);
  }
  return page(handles, self, property, count, MAX_CAP_HANDLES);
}

/** @tcg Part 2, 6.14 TPM_PT_PCR */
function pcrProperties(): readonly { readonly tag: number; readonly pcrSelect: Uint8Array }[] {
  const where = (has: (pcr: number) => boolean): Uint8Array =>
    selectBits(PCR_ATTRIBUTES.map((_, pcr) => pcr).filter(has));
  const attribute = (pcr: number) =>
    PCR_ATTRIBUTES[pcr] ?? { stateSave: false, resetLocality: 0, extendLocality: 0 };
  const out = [{ tag: 0, pcrSelect: where((pcr) => attribute(pcr).stateSave) }];
  for (let locality = 0; locality < 5; locality++) {
    const may = (bits: number): boolean => ((bits >>> locality) & 1) === 1;
    out.push({ tag: 1 + 2 * locality, pcrSelect: where((pcr) => may(attribute(pcr).extendLocality)) });
    out.push({ tag: 2 + 2 * locality, pcrSelect: where((pcr) => may(attribute(pcr).resetLocality)) });
  }
  out.push({ tag: 0x11, pcrSelect: where(isNoIncrementPcr) });
  out.push({ tag: 0x12, pcrSelect: where((pcr) => (attribute(pcr).resetLocality & 0x10) !== 0) });
  out.push({ tag: 0x13, pcrSelect: where(isGuardedPcr) });
  out.push({ tag: 0x14, pcrSelect: where(isGuardedPcr) });
  return out;
}

function authPolicies(tpm: TpmCursor): readonly { handle: number; hashAlg: number; digest: Uint8Array }[] {
  const { nv, clear } = tpm.state;
  const of = (handle: number, policy: { alg: number; digest: Uint8Array }) => ({
    handle,
    hashAlg: policy.alg,
    digest: policy.digest,
  });
  return [
    of(c.TPM_RH_OWNER, nv.owner.policy),
    of(c.TPM_RH_LOCKOUT, nv.lockout.policy),
    of(c.TPM_RH_ENDORSEMENT, nv.endorsement.policy),
    of(c.TPM_RH_PLATFORM, clear.platform.policy),
  ];
}

function capabilityPage(
  tpm: TpmCursor,
  commands: readonly Command[],
  capability: number,
  property: number,
  count: number,
): Page | number {
  const codes = (list: Iterable<number>): Page => page(ascending(list), self, property, count, MAX_CAP_CC);
  switch (capability) {
    case c.TPM_CAP_ALGS: {
      const all = ALGORITHM_PROPERTIES.map(([alg, algProperties]) => ({ alg, algProperties }));
      return page(all, (a) => a.alg, property & 0xffff, count, MAX_TAGGED);
    }
    case c.TPM_CAP_HANDLES:
      return handlePage(tpm, property, count);
    case c.TPM_CAP_COMMANDS:
      return page(commands.map(commandAttributes), (a) => a & 0xffff, property, count, MAX_CAP_CC);
    case c.TPM_CAP_PP_COMMANDS: {
      const required = commands.filter((d) => d.pp === 'required').map((d) => d.code);
      return codes([...required, ...tpm.state.nv.ppCommands]);
    }
    case c.TPM_CAP_AUDIT_COMMANDS:
      return codes(tpm.state.nv.auditCommands);
    case c.TPM_CAP_PCRS:
      if (property !== 0) return rc.rcParameter(2, rc.TPM_RC_VALUE);
      return { more: false, data: count === 0 ? [] : tpm.state.nv.pcrAllocated };
    case c.TPM_CAP_TPM_PROPERTIES: {
      // One answer never crosses from the fixed properties into the variable ones.
      const groupEnd = Math.max(property, 0x100) | 0xff;
      const all = tpmProperties(tpm, commands.length)
        .filter(([p]) => p <= groupEnd)
        .map(([p, value]) => ({ property: p, value: value >>> 0 }));
      return page(all, (p) => p.property, property, count, MAX_TAGGED);
    }
    case c.TPM_CAP_PCR_PROPERTIES:
      return page(pcrProperties(), (p) => p.tag, property, count, MAX_TAGGED);
    case c.TPM_CAP_ECC_CURVES:
      return page(CURVE_IDS, self, property & 0xffff, count, CAPABILITY_BYTES / 2);
    case c.TPM_CAP_AUTH_POLICIES:
      if (c.handleType(property) !== c.TPM_HT_PERMANENT) return rc.rcParameter(2, rc.TPM_RC_VALUE);
      return page(authPolicies(tpm), (p) => p.handle, property, count, 14);
    default:
      // TPM_CAP_ACT: there are no authenticated countdown timers.
      if (property < 0x40000110 || property > 0x4000011f) return rc.rcParameter(2, rc.TPM_RC_VALUE);
      return { more: false, data: [] };
  }
}

/**
 * TPM2_GetCapability needs the list of all commands, which itself holds it: so it is made from that list.
 * @tcg Part 3, 30.2 TPM2_GetCapability
 */
export function getCapability(commands: () => readonly Command[]): Command {
  return command({
    code: 0x17a,
    name: 'GetCapability',
    handles: {},
    parameters: { capability: Uint32, property: Uint32, propertyCount: Uint32 },
    response: { moreData: TpmiYesNo, capabilityData: TpmsCapabilityData },
    run(tpm, { capability, property, propertyCount }) {
      if (!isCapability(capability)) return rc.rcParameter(1, rc.TPM_RC_VALUE);
      const answer = capabilityPage(tpm, commands(), capability, property, propertyCount);
      if (typeof answer === 'number') return answer;
      return { moreData: answer.more ? 1 : 0, capabilityData: { capability, data: answer.data } };
    },
  });
}

/** @tcg Part 3, 30.3 TPM2_TestParms */
export const testParms = command({
  code: 0x18a,
  name: 'TestParms',
  handles: {},
  parameters: { parameters: TpmtPublicParms },
  response: {},
  run: () => ({}),
});
