// A new TPM: seeds, proofs and generator follow from the given seed text, everything else is as the
// specification says a TPM leaves the factory (hierarchies enabled, empty authorizations, all PCR banks as
// asked).

import { Map as ImmutableMap } from 'immutable';
import { assert } from '../base/assert.ts';
import { EMPTY } from '../base/bytes.ts';
import type { HashName } from '../crypto/provider.ts';
import { hashAlgOf } from './algorithms.ts';
import { IMPLEMENTATION_PCR, TPM_ALG_NULL, TPM_ALG_SHA512, TPM_RH_UNASSIGNED } from './constants.ts';
import { Drbg, drbgInstantiate } from './drbg.ts';
import { selectBits } from './pcr.ts';
import { startupTable } from './startup.machine.ts';
import type {
  ClearState,
  HierarchySecrets,
  Policy,
  ResetState,
  TpmConfig,
  TpmState,
  VolatileState,
} from './state.ts';

export interface ManufactureOptions {
  readonly seed: string;
  /** PCR banks that are allocated; default sha1, sha256, sha384, sha512. */
  readonly banks?: readonly HashName[];
  /** Transient objects that fit at once; real TPMs have 3. */
  readonly objectSlots?: number;
  /** Loaded sessions that fit at once. */
  readonly sessionSlots?: number;
  readonly persistentSlots?: number;
  readonly nvMemory?: number;
  /** Four characters of TPM_PT_MANUFACTURER. */
  readonly manufacturer?: string;
}

export const NO_POLICY: Policy = { alg: TPM_ALG_NULL, digest: EMPTY };
export const NO_SECRETS: HierarchySecrets = { auth: EMPTY, policy: NO_POLICY };

const ALL_BANKS: readonly HashName[] = ['sha1', 'sha256', 'sha384', 'sha512'];
export const SEED_SIZE = 64;

export function volatileState(): VolatileState {
  return {
    objects: ImmutableMap(),
    sessions: ImmutableMap(),
    exclusiveAuditSession: TPM_RH_UNASSIGNED,
    physicalPresence: false,
    hashSequence: null,
    drtmPreStartup: false,
    pcrReconfigured: false,
    lockout: 'clear',
    daUsed: false,
    selfHealFrom: 0n,
    lockoutFrom: 0n,
    failureReason: '',
  };
}

function resetState(random: Drbg, sessionSlots: number): ResetState {
  return {
    nullSeed: random.bytes(SEED_SIZE),
    nullProof: random.bytes(SEED_SIZE),
    clearCount: 0,
    restartCount: 0,
    objectContextId: 0n,
    // Numbers up to that of the slots stand for loaded sessions.
    contextCounter: BigInt(sessionSlots) + 1n,
    pcrCounter: 0,
    commandAuditDigest: EMPTY,
    savedSessions: ImmutableMap(),
    savedSequences: ImmutableMap(),
    commitNonce: random.bytes(32),
    commitCounter: 0,
    commitArray: [],
  };
}

export function enabledClearState(): ClearState {
  return {
    shEnable: true,
    ehEnable: true,
    phEnable: true,
    phEnableNv: true,
    platform: NO_SECRETS,
    pcrAuth: EMPTY,
  };
}

/** Seed and null secrets of a new TPM Reset. */
export function freshResetState(random: Drbg, config: TpmConfig): ResetState {
  return resetState(random, config.sessionSlots);
}

/**
 * A TPM without power, as it leaves the factory.
 * @tcg Part 1, 14.3 Primary Seeds; Part 4, TPM_Manufacture()
 * @deviation everything random follows from the given seed, so that two TPMs of one seed are equal
 */
export function manufacture(options: ManufactureOptions): TpmState {
  const config: TpmConfig = {
    seed: options.seed,
    objectSlots: options.objectSlots ?? 64,
    sessionSlots: options.sessionSlots ?? 64,
    persistentSlots: options.persistentSlots ?? 64,
    nvMemory: options.nvMemory ?? 131072,
    manufacturer: options.manufacturer ?? 'KSIM',
  };
  const random = new Drbg(drbgInstantiate(`tpm ${options.seed}`));
  const banks = options.banks ?? ALL_BANKS;
  const all = selectBits(Array.from({ length: IMPLEMENTATION_PCR }, (_, i) => i));
  const pcrAllocated = ALL_BANKS.map((name) => {
    const hash = hashAlgOf(name);
    assert(hash !== undefined, `bank ${name}`);
    return { hash, pcrSelect: banks.includes(name) ? all : new Uint8Array(all.length) };
  });
  for (const name of banks) assert(ALL_BANKS.includes(name), `no PCR bank for ${name}`);
  const seed = (): Uint8Array => random.bytes(SEED_SIZE);
  const nv: TpmState['nv'] = {
    epSeed: seed(),
    spSeed: seed(),
    ppSeed: seed(),
    phProof: seed(),
    shProof: seed(),
    ehProof: seed(),
    owner: NO_SECRETS,
    endorsement: NO_SECRETS,
    lockout: NO_SECRETS,
    disableClear: false,
    lockoutAuthEnabled: true,
    failedTries: 0,
    maxTries: 3,
    recoveryTime: 1000,
    lockoutRecovery: 1000,
    pcrAllocated,
    pcrAllocatedNext: pcrAllocated,
    pcrPolicy: NO_POLICY,
    auditCommands: [0x140],
    auditHashAlg: TPM_ALG_SHA512,
    auditCounter: 0n,
    ppCommands: [],
    algorithmSet: 0,
    resetCount: 0,
    totalResetCount: 0n,
    orderlyState: -1,
    startupLocality3: false,
    preStartupDrtm: false,
    nvIndices: ImmutableMap(),
    objects: ImmutableMap(),
    maxCounter: 0n,
  };
  const reset = resetState(random, config.sessionSlots);
  return {
    config,
    life: startupTable.initial,
    drbg: random.state,
    nv,
    clock: { clock: 0n, clockSafe: true, time: 0n, seenMs: 0, ratePpm: 0, epoch: 0 },
    reset,
    clear: enabledClearState(),
    pcr: [],
    ram: volatileState(),
    saved: null,
  };
}
