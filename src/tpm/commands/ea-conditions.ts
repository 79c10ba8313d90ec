// Part 3, chapter 23: the plain conditions of a policy - PCR, locality, NV, time, command, names, presence -
// and what turns several policies into one (TPM2_PolicyOR).

import { concat, equalBytes } from '../../base/bytes.ts';
import { crypto } from '../../crypto/provider.ts';
import { hashName, hashSize } from '../algorithms.ts';
import { timeInfo } from '../clock.ts';
import { type Command, command, reference, user } from '../command.ts';
import * as c from '../constants.ts';
import { entityName, nvIndexAt } from '../entity.ts';
import { be16, be32, marshal, oneOf, Uint8, Uint16, Uint32 } from '../marshal.ts';
import { readAccess } from '../nv.ts';
import { pcrDigest } from '../pcr.ts';
import { emptyPolicyDigest, policyExtend, setSession } from '../policy.ts';
import * as rc from '../rc.ts';
import type { Session } from '../state.ts';
import {
  Tpm2bDigest,
  Tpm2bName,
  Tpm2bOperand,
  TpmiRhNvAuth,
  TpmiRhNvIndex,
  TpmiShPolicy,
  TpmiYesNo,
  TpmlDigestOr,
  TpmlPcrSelection,
  TpmsTimeInfo,
} from '../structures.ts';
import { policySessionAt } from './ea.ts';

const SESSION = { policySession: reference(TpmiShPolicy) };
const CC = {
  policyNv: 0x149,
  policyAuthValue: 0x16b,
  policyCommandCode: 0x16c,
  policyCounterTimer: 0x16d,
  policyCpHash: 0x16e,
  policyLocality: 0x16f,
  policyNameHash: 0x170,
  policyOr: 0x171,
  policyPcr: 0x17f,
  policyPhysicalPresence: 0x187,
  policyDuplicationSelect: 0x188,
  policyGetDigest: 0x189,
  policyPassword: 0x18c,
  policyNvWritten: 0x18f,
  policyTemplate: 0x190,
  duplicate: 0x14b,
} as const;

/** @tcg Part 3, 23.6 TPM2_PolicyOR */
export const policyOr = command({
  code: CC.policyOr,
  name: 'PolicyOR',
  handles: SESSION,
  parameters: { pHashList: TpmlDigestOr },
  response: {},
  run(tpm, { policySession, pHashList }) {
    const session = policySessionAt(tpm, policySession);
    if (!session.isTrial && !pHashList.some((d) => equalBytes(d, session.policyDigest))) {
      return rc.rcParameter(1, rc.TPM_RC_VALUE);
    }
    const cleared = { ...session, policyDigest: emptyPolicyDigest(session.authHash) };
    setSession(tpm, session, { policyDigest: policyExtend(cleared, CC.policyOr, ...pHashList) });
    return {};
  },
});

/** @tcg Part 3, 23.7 TPM2_PolicyPCR */
export const policyPcr = command({
  code: CC.policyPcr,
  name: 'PolicyPCR',
  handles: SESSION,
  parameters: { pcrDigest: Tpm2bDigest, pcrs: TpmlPcrSelection },
  response: {},
  run(tpm, input) {
    const session = policySessionAt(tpm, input.policySession);
    const current = pcrDigest(tpm, session.authHash, input.pcrs);
    const { pcrCounter } = tpm.state.reset;
    if (!session.isTrial) {
      if (session.pcrCounter !== 0 && session.pcrCounter !== pcrCounter) return rc.TPM_RC_PCR_CHANGED;
      if (input.pcrDigest.length !== 0 && !equalBytes(input.pcrDigest, current.digest)) {
        return rc.rcParameter(1, rc.TPM_RC_VALUE);
      }
    }
    const given = session.isTrial && input.pcrDigest.length !== 0;
    const digest = given ? input.pcrDigest : current.digest;
    const selection = marshal(TpmlPcrSelection, current.selection);
    setSession(tpm, session, {
      policyDigest: policyExtend(session, CC.policyPcr, selection, digest),
      pcrCounter: session.isTrial ? session.pcrCounter : pcrCounter,
    });
    return {};
  },
});

/** @tcg Part 3, 23.8 TPM2_PolicyLocality */
export const policyLocality = command({
  code: CC.policyLocality,
  name: 'PolicyLocality',
  handles: SESSION,
  parameters: { locality: Uint8 },
  response: {},
  run(tpm, { policySession, locality }) {
    const session = policySessionAt(tpm, policySession);
    const outOfRange = rc.rcParameter(1, rc.TPM_RC_RANGE);
    if (locality === 0) return outOfRange;
    const previous = session.locality;
    if (previous !== 0 && previous < 32 !== locality < 32) return outOfRange;
    let allowed = locality;
    if (locality < 32) allowed = (previous === 0 ? 0x1f : previous) & locality;
    else if (previous !== 0 && previous !== locality) return outOfRange;
    if (allowed === 0) return outOfRange;
    const policyDigest = policyExtend(session, CC.policyLocality, new Uint8Array([locality]));
    setSession(tpm, session, { policyDigest, locality: allowed });
    return {};
  },
});

/** @tcg Part 2, 6.8 TPM_EO */
const TpmEo = oneOf(Uint16, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);

function compareUnsigned(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

function compareSigned(a: Uint8Array, b: Uint8Array): number {
  const [signA, signB] = [(a[0] ?? 0) >= 0x80, (b[0] ?? 0) >= 0x80];
  // Two's complement: with equal signs the unsigned order is the signed order.
  return signA === signB ? compareUnsigned(a, b) : signA ? -1 : 1;
}

/** Whether `a operation b` holds. */
function conditionHolds(operation: number, a: Uint8Array, b: Uint8Array): boolean {
  switch (operation) {
    case c.TPM_EO_EQ:
      return compareUnsigned(a, b) === 0;
    case c.TPM_EO_NEQ:
      return compareUnsigned(a, b) !== 0;
    case c.TPM_EO_SIGNED_GT:
      return compareSigned(a, b) > 0;
    case c.TPM_EO_UNSIGNED_GT:
      return compareUnsigned(a, b) > 0;
    case c.TPM_EO_SIGNED_LT:
      return compareSigned(a, b) < 0;
    case c.TPM_EO_UNSIGNED_LT:
      return compareUnsigned(a, b) < 0;
    case c.TPM_EO_SIGNED_GE:
      return compareSigned(a, b) >= 0;
    case c.TPM_EO_UNSIGNED_GE:
      return compareUnsigned(a, b) >= 0;
    case c.TPM_EO_SIGNED_LE:
      return compareSigned(a, b) <= 0;
    case c.TPM_EO_UNSIGNED_LE:
      return compareUnsigned(a, b) <= 0;
    case c.TPM_EO_BITSET:
      return a.every((octet, i) => (octet & (b[i] as number)) === b[i]);
    default:
      return a.every((octet, i) => (octet & (b[i] as number)) === 0);
  }
}

function argumentHash(session: Session, operandB: Uint8Array, offset: number, operation: number): Uint8Array {
  return crypto().hash(hashName(session.authHash), concat(operandB, be16(offset), be16(operation)));
}

/** @tcg Part 3, 23.9 TPM2_PolicyNV */
export const policyNv = command({
  code: CC.policyNv,
  name: 'PolicyNV',
  handles: {
    authHandle: user(TpmiRhNvAuth),
    nvIndex: reference(TpmiRhNvIndex),
    policySession: reference(TpmiShPolicy),
  },
  parameters: { operandB: Tpm2bOperand, offset: Uint16, operation: TpmEo },
  response: {},
  run(tpm, { authHandle, nvIndex, policySession, operandB, offset, operation }) {
    const session = policySessionAt(tpm, policySession);
    const index = nvIndexAt(tpm, nvIndex);
    if (index === undefined) return rc.rcHandle(2, rc.TPM_RC_HANDLE);
    if (!session.isTrial) {
      const { attributes, dataSize } = index.public;
      const refused = readAccess(authHandle, nvIndex, attributes);
      if (refused !== 0) return refused;
      if (offset > dataSize) return rc.rcParameter(2, rc.TPM_RC_VALUE);
      if (dataSize - offset < operandB.length) return rc.rcParameter(1, rc.TPM_RC_SIZE);
      const data = index.data.subarray(offset, offset + operandB.length);
      if (!conditionHolds(operation, data, operandB)) return rc.TPM_RC_POLICY;
    }
    const args = argumentHash(session, operandB, offset, operation);
    const name = entityName(tpm, nvIndex);
    setSession(tpm, session, { policyDigest: policyExtend(session, CC.policyNv, args, name) });
    return {};
  },
});

/** @tcg Part 3, 23.10 TPM2_PolicyCounterTimer */
export const policyCounterTimer = command({
  code: CC.policyCounterTimer,
  name: 'PolicyCounterTimer',
  handles: SESSION,
  parameters: { operandB: Tpm2bOperand, offset: Uint16, operation: TpmEo },
  response: {},
  run(tpm, { policySession, operandB, offset, operation }) {
    const session = policySessionAt(tpm, policySession);
    const info = marshal(TpmsTimeInfo, timeInfo(tpm.state));
    if (offset > info.length) return rc.rcParameter(2, rc.TPM_RC_VALUE);
    if (offset + operandB.length > info.length) return rc.TPM_RC_RANGE;
    if (!session.isTrial) {
      const data = info.subarray(offset, offset + operandB.length);
      if (!conditionHolds(operation, data, operandB)) return rc.TPM_RC_POLICY;
    }
    const args = argumentHash(session, operandB, offset, operation);
    setSession(tpm, session, { policyDigest: policyExtend(session, CC.policyCounterTimer, args) });
    return {};
  },
});

/**
 * TPM2_PolicyCommandCode knows which commands there are.
 * @tcg Part 3, 23.11 TPM2_PolicyCommandCode
 */
export function policyCommandCode(isImplemented: (code: number) => boolean): Command {
  return command({
    code: CC.policyCommandCode,
    name: 'PolicyCommandCode',
    handles: SESSION,
    parameters: { code: Uint32 },
    response: {},
    run(tpm, { policySession, code }) {
      const session = policySessionAt(tpm, policySession);
      if (session.commandCode !== 0 && session.commandCode !== code)
        return rc.rcParameter(1, rc.TPM_RC_VALUE);
      if (!isImplemented(code)) return rc.rcParameter(1, rc.TPM_RC_POLICY_CC);
      const policyDigest = policyExtend(session, CC.policyCommandCode, be32(code));
      setSession(tpm, session, { policyDigest, commandCode: code });
      return {};
    },
  });
}

/** @tcg Part 3, 23.12 TPM2_PolicyPhysicalPresence */
export const policyPhysicalPresence = command({
  code: CC.policyPhysicalPresence,
  name: 'PolicyPhysicalPresence',
  handles: SESSION,
  parameters: {},
  response: {},
  run(tpm, { policySession }) {
    const session = policySessionAt(tpm, policySession);
    setSession(tpm, session, {
      policyDigest: policyExtend(session, CC.policyPhysicalPresence),
      isPpRequired: true,
    });
    return {};
  },
});

/** @tcg Part 3, 23.13 TPM2_PolicyCpHash */
export const policyCpHash = command({
  code: CC.policyCpHash,
  name: 'PolicyCpHash',
  handles: SESSION,
  parameters: { cpHashA: Tpm2bDigest },
  response: {},
  run(tpm, { policySession, cpHashA }) {
    const session = policySessionAt(tpm, policySession);
    if (cpHashA.length !== hashSize(session.authHash)) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const same = session.cpHashKind === 'cpHash' && equalBytes(cpHashA, session.cpHash);
    if (session.cpHashKind !== 'none' && !same) return rc.TPM_RC_CPHASH;
    const policyDigest = policyExtend(session, CC.policyCpHash, cpHashA);
    setSession(tpm, session, { policyDigest, cpHash: cpHashA, cpHashKind: 'cpHash' });
    return {};
  },
});

/** @tcg Part 3, 23.14 TPM2_PolicyNameHash */
export const policyNameHash = command({
  code: CC.policyNameHash,
  name: 'PolicyNameHash',
  handles: SESSION,
  parameters: { nameHash: Tpm2bDigest },
  response: {},
  run(tpm, { policySession, nameHash }) {
    const session = policySessionAt(tpm, policySession);
    if (nameHash.length !== hashSize(session.authHash)) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    if (session.cpHashKind !== 'none') return rc.TPM_RC_CPHASH;
    const policyDigest = policyExtend(session, CC.policyNameHash, nameHash);
    setSession(tpm, session, { policyDigest, cpHash: nameHash, cpHashKind: 'nameHash' });
    return {};
  },
});

/** @tcg Part 3, 23.15 TPM2_PolicyDuplicationSelect */
export const policyDuplicationSelect = command({
  code: CC.policyDuplicationSelect,
  name: 'PolicyDuplicationSelect',
  handles: SESSION,
  parameters: { objectName: Tpm2bName, newParentName: Tpm2bName, includeObject: TpmiYesNo },
  response: {},
  run(tpm, { policySession, objectName, newParentName, includeObject }) {
    const session = policySessionAt(tpm, policySession);
    if (session.cpHashKind !== 'none') return rc.TPM_RC_CPHASH;
    if (session.commandCode !== 0) return rc.TPM_RC_COMMAND_CODE;
    const flag = new Uint8Array([includeObject]);
    const names = includeObject === 1 ? [objectName, newParentName, flag] : [newParentName, flag];
    setSession(tpm, session, {
      cpHash: crypto().hash(hashName(session.authHash), concat(objectName, newParentName)),
      cpHashKind: 'nameHash',
      policyDigest: policyExtend(session, CC.policyDuplicationSelect, ...names),
      commandCode: CC.duplicate,
    });
    return {};
  },
});

/** @tcg Part 3, 23.17 TPM2_PolicyAuthValue */
export const policyAuthValue = command({
  code: CC.policyAuthValue,
  name: 'PolicyAuthValue',
  handles: SESSION,
  parameters: {},
  response: {},
  run(tpm, { policySession }) {
    const session = policySessionAt(tpm, policySession);
    const policyDigest = policyExtend(session, CC.policyAuthValue);
    setSession(tpm, session, { policyDigest, isAuthValueNeeded: true, isPasswordNeeded: false });
    return {};
  },
});

/** @tcg Part 3, 23.18 TPM2_PolicyPassword: the digest is that of TPM2_PolicyAuthValue */
export const policyPassword = command({
  code: CC.policyPassword,
  name: 'PolicyPassword',
  handles: SESSION,
  parameters: {},
  response: {},
  run(tpm, { policySession }) {
    const session = policySessionAt(tpm, policySession);
    const policyDigest = policyExtend(session, CC.policyAuthValue);
    setSession(tpm, session, { policyDigest, isAuthValueNeeded: false, isPasswordNeeded: true });
    return {};
  },
});

/** @tcg Part 3, 23.19 TPM2_PolicyGetDigest */
export const policyGetDigest = command({
  code: CC.policyGetDigest,
  name: 'PolicyGetDigest',
  handles: SESSION,
  parameters: {},
  response: { policyDigest: Tpm2bDigest },
  run: (tpm, { policySession }) => ({ policyDigest: policySessionAt(tpm, policySession).policyDigest }),
});

/** @tcg Part 3, 23.20 TPM2_PolicyNvWritten */
export const policyNvWritten = command({
  code: CC.policyNvWritten,
  name: 'PolicyNvWritten',
  handles: SESSION,
  parameters: { writtenSet: TpmiYesNo },
  response: {},
  run(tpm, { policySession, writtenSet }) {
    const session = policySessionAt(tpm, policySession);
    const nvWrittenState = writtenSet === 1;
    if (session.checkNvWritten && session.nvWrittenState !== nvWrittenState) {
      return rc.rcParameter(1, rc.TPM_RC_VALUE);
    }
    const policyDigest = policyExtend(session, CC.policyNvWritten, new Uint8Array([writtenSet]));
    setSession(tpm, session, { policyDigest, checkNvWritten: true, nvWrittenState });
    return {};
  },
});

/** @tcg Part 3, 23.21 TPM2_PolicyTemplate */
export const policyTemplate = command({
  code: CC.policyTemplate,
  name: 'PolicyTemplate',
  handles: SESSION,
  parameters: { templateHash: Tpm2bDigest },
  response: {},
  run(tpm, { policySession, templateHash }) {
    const session = policySessionAt(tpm, policySession);
    if (session.cpHashKind === 'template') {
      if (!equalBytes(templateHash, session.cpHash)) return rc.rcParameter(1, rc.TPM_RC_VALUE);
    } else if (session.cpHashKind !== 'none') return rc.TPM_RC_CPHASH;
    if (templateHash.length !== hashSize(session.authHash)) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const policyDigest = policyExtend(session, CC.policyTemplate, templateHash);
    setSession(tpm, session, { policyDigest, cpHash: templateHash, cpHashKind: 'template' });
    return {};
  },
});
