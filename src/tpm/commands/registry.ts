// All commands of this TPM by code. TPM_CAP_COMMANDS, TPM_PT_TOTAL_COMMANDS and the dispatcher read this one list.

import { assert } from '../../base/assert.ts';
import type { Command } from '../command.ts';
import { getCapability, testParms } from './capability.ts';
import { clockRateAdjust, clockSet, readClock } from './clock.ts';
import { contextLoad, contextSave, evictControl, flushContext } from './context.ts';
import { dictionaryAttackLockReset, dictionaryAttackParameters } from './da.ts';
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
import { policyRestart, startAuthSession } from './session.ts';
import { shutdown, startup } from './startup.ts';
import { getTestResult, incrementalSelfTest, selfTest } from './testing.ts';

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
];

const SORTED: readonly Command[] = ALL.toSorted((a, b) => a.code - b.code);

/** Commands by TPM_CC. */
export const COMMANDS: ReadonlyMap<number, Command> = new Map(SORTED.map((d) => [d.code, d]));

assert(COMMANDS.size === ALL.length, 'two commands share a code');
