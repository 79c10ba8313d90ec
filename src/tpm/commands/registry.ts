// All commands of this TPM by code. TPM_CAP_COMMANDS, TPM_PT_TOTAL_COMMANDS and the dispatcher read this one
// list.

import { assert } from '../../base/assert.ts';
import type { Command } from '../command.ts';
import {
  commit,
  eccParameters,
  ecdhKeyGen,
  ecdhZGen,
  ecEphemeral,
  rsaDecrypt,
  rsaEncrypt,
  zGen2Phase,
} from './asymmetric.ts';
import {
  certify,
  certifyCreation,
  getCommandAuditDigest,
  getSessionAuditDigest,
  getTime,
  quote,
} from './attestation.ts';
import { getCapability, testParms } from './capability.ts';
import { clockRateAdjust, clockSet, readClock } from './clock.ts';
import { contextLoad, contextSave, evictControl, flushContext } from './context.ts';
import { dictionaryAttackLockReset, dictionaryAttackParameters } from './da.ts';
import { duplicate, importObject, rewrap } from './duplication.ts';
import { policyAuthorize, policyAuthorizeNv, policySecret, policySigned, policyTicket } from './ea.ts';
import {
  policyAuthValue,
  policyCommandCode,
  policyCounterTimer,
  policyCpHash,
  policyDuplicationSelect,
  policyGetDigest,
  policyLocality,
  policyNameHash,
  policyNv,
  policyNvWritten,
  policyOr,
  policyPassword,
  policyPcr,
  policyPhysicalPresence,
  policyTemplate,
} from './ea-conditions.ts';
import {
  changeEps,
  changePps,
  clear,
  clearControl,
  createPrimary,
  hierarchyChangeAuth,
  hierarchyControl,
  setPrimaryPolicy,
} from './hierarchy.ts';
import { ppCommands, setAlgorithmSet, setCommandCodeAuditStatus } from './management.ts';
import {
  nvCertify,
  nvChangeAuth,
  nvDefineSpace,
  nvExtend,
  nvGlobalWriteLock,
  nvIncrement,
  nvRead,
  nvReadLock,
  nvReadPublic,
  nvSetBits,
  nvUndefineSpace,
  nvUndefineSpaceSpecial,
  nvWrite,
  nvWriteLock,
} from './nv.ts';
import {
  activateCredential,
  create,
  createLoaded,
  load,
  loadExternal,
  makeCredential,
  objectChangeAuth,
  readPublic,
  unseal,
} from './object.ts';
import {
  pcrAllocate,
  pcrEvent,
  pcrExtend,
  pcrRead,
  pcrReset,
  pcrSetAuthPolicy,
  pcrSetAuthValue,
} from './pcr.ts';
import { getRandom, stirRandom } from './random.ts';
import {
  eventSequenceComplete,
  hashSequenceStart,
  macStart,
  sequenceComplete,
  sequenceUpdate,
} from './sequence.ts';
import { policyRestart, startAuthSession } from './session.ts';
import { sign, verifySignature } from './signing.ts';
import { shutdown, startup } from './startup.ts';
import { encryptDecrypt1, encryptDecrypt2, hash, mac } from './symmetric.ts';
import { getTestResult, incrementalSelfTest, selfTest } from './testing.ts';
import { certifyX509 } from './x509.ts';

const ALL: readonly Command[] = [
  startup,
  shutdown,
  selfTest,
  incrementalSelfTest,
  getTestResult,
  getRandom,
  stirRandom,
  pcrExtend,
  pcrEvent,
  pcrRead,
  pcrAllocate,
  pcrSetAuthPolicy,
  pcrSetAuthValue,
  pcrReset,
  getCapability(() => SORTED),
  testParms,
  startAuthSession,
  policyRestart,
  create,
  load,
  loadExternal,
  readPublic,
  activateCredential,
  makeCredential,
  unseal,
  objectChangeAuth,
  createLoaded,
  createPrimary,
  hierarchyControl,
  setPrimaryPolicy,
  changePps,
  changeEps,
  clear,
  clearControl,
  hierarchyChangeAuth,
  dictionaryAttackLockReset,
  dictionaryAttackParameters,
  contextSave,
  contextLoad,
  flushContext,
  evictControl,
  readClock,
  clockSet,
  clockRateAdjust,
  duplicate,
  rewrap,
  importObject,
  rsaEncrypt,
  rsaDecrypt,
  ecdhKeyGen,
  ecdhZGen,
  eccParameters,
  zGen2Phase,
  commit,
  ecEphemeral,
  encryptDecrypt1,
  encryptDecrypt2,
  hash,
  mac,
  macStart,
  hashSequenceStart,
  sequenceUpdate,
  sequenceComplete,
  eventSequenceComplete,
  certify,
  certifyCreation,
  quote,
  getSessionAuditDigest,
  getCommandAuditDigest,
  getTime,
  certifyX509,
  verifySignature,
  sign,
  setCommandCodeAuditStatus((code) => COMMANDS.get(code)),
  ppCommands((code) => COMMANDS.get(code)),
  setAlgorithmSet,
  policySigned,
  policySecret,
  policyTicket,
  policyAuthorize,
  policyAuthorizeNv,
  policyOr,
  policyPcr,
  policyLocality,
  policyNv,
  policyCounterTimer,
  policyCommandCode((code) => COMMANDS.has(code)),
  policyPhysicalPresence,
  policyCpHash,
  policyNameHash,
  policyDuplicationSelect,
  policyAuthValue,
  policyPassword,
  policyGetDigest,
  policyNvWritten,
  policyTemplate,
  nvDefineSpace,
  nvUndefineSpace,
  nvUndefineSpaceSpecial,
  nvReadPublic,
  nvWrite,
  nvIncrement,
  nvExtend,
  nvSetBits,
  nvWriteLock,
  nvGlobalWriteLock,
  nvRead,
  nvReadLock,
  nvChangeAuth,
  nvCertify,
];

const SORTED: readonly Command[] = ALL.toSorted((a, b) => a.code - b.code);

/** Commands by TPM_CC. */
export const COMMANDS: ReadonlyMap<number, Command> = new Map(SORTED.map((d) => [d.code, d]));

assert(COMMANDS.size === ALL.length, 'two commands share a code');
