// Everything a TPM knows, as one immutable plain value in the parts that the specification gives different
// lives: persistent (NV), orderly, cleared at TPM Reset, cleared at Startup(CLEAR), and lost with power.

import type { Map as ImmutableMap } from 'immutable';
import type { DrbgState } from './drbg.ts';
import type { LockoutState } from './lockout.machine.ts';
import type { StartupState } from './startup.machine.ts';
import type { TpmlPcrSelection, TpmtSymDef } from './structures.ts';
import type { TpmtPublic, TpmtSensitive } from './structures-object.ts';

/** What manufacturing decides and nothing changes later. */
export interface TpmConfig {
  readonly seed: string;
  readonly objectSlots: number;
  readonly sessionSlots: number;
  readonly persistentSlots: number;
  /** Octets of NV for indices and persistent objects. */
  readonly nvMemory: number;
  readonly manufacturer: string;
}

export interface Policy {
  readonly alg: number;
  readonly digest: Uint8Array;
}

export interface HierarchySecrets {
  readonly auth: Uint8Array;
  readonly policy: Policy;
}

export interface NvPublic {
  readonly nvIndex: number;
  readonly nameAlg: number;
  readonly attributes: number;
  readonly authPolicy: Uint8Array;
  readonly dataSize: number;
}

export interface NvIndex {
  readonly public: NvPublic;
  readonly authValue: Uint8Array;
  readonly data: Uint8Array;
}

/** A key or data object with whatever of it is loaded. */
export interface TpmObject {
  readonly kind: 'object';
  readonly public: TpmtPublic;
  /** null when only the public area is loaded. */
  readonly sensitive: TpmtSensitive | null;
  readonly name: Uint8Array;
  readonly qualifiedName: Uint8Array;
  readonly hierarchy: number;
  readonly primary: boolean;
  readonly external: boolean;
  /** stClear is set here or in an ancestor: gone after Startup(CLEAR). */
  readonly stClear: boolean;
  readonly derived: boolean;
  /** Handle in NV when this is a copy of a persistent object. */
  readonly evict: number | null;
}

export interface SequenceObject {
  readonly kind: 'sequence';
  readonly sequence: 'hash' | 'hmac' | 'event';
  readonly auth: Uint8Array;
  /** Hash algorithms that the sequence computes (one, or one for each bank of an event). */
  readonly hashAlgs: readonly number[];
  readonly key: Uint8Array;
  /** Data so far; hashed at the end. */
  readonly chunks: readonly Uint8Array[];
  /** The first block decides whether a ticket may be made. */
  readonly ticketSafe: boolean | null;
}

export type TransientObject = TpmObject | SequenceObject;

export interface Session {
  readonly handle: number;
  readonly isPolicy: boolean;
  readonly isTrial: boolean;
  readonly authHash: number;
  readonly symmetric: TpmtSymDef;
  readonly sessionKey: Uint8Array;
  readonly nonceTpm: Uint8Array;
  /** Name and authValue of the entity that the session is bound to; null when unbound. */
  readonly boundEntity: Uint8Array | null;
  readonly isDaBound: boolean;
  readonly isLockoutBound: boolean;
  readonly isAudit: boolean;
  readonly auditDigest: Uint8Array;
  readonly policyDigest: Uint8Array;
  readonly commandCode: number;
  readonly locality: number;
  readonly isPpRequired: boolean;
  readonly isAuthValueNeeded: boolean;
  readonly isPasswordNeeded: boolean;
  readonly cpHash: Uint8Array;
  readonly cpHashKind: 'none' | 'cpHash' | 'nameHash' | 'template';
  readonly checkNvWritten: boolean;
  readonly nvWrittenState: boolean;
  readonly pcrCounter: number;
  /** Time at which the policy ends, 0 for never. */
  readonly timeout: bigint;
  readonly startTime: bigint;
  readonly epoch: number;
}

/** A session whose context is outside: what the TPM keeps to recognise it. */
export interface SavedSession {
  readonly contextId: bigint;
}

export interface PcrBank {
  readonly alg: number;
  /** 24 values; null where the bank has no such register. */
  readonly pcrs: readonly (Uint8Array | null)[];
}

/** No orderly shutdown since the start. */
export const UNORDERLY = -1;
/** As before, and an entity under dictionary-attack protection was used. */
export const UNORDERLY_USED = -2;

export interface PersistentState {
  readonly epSeed: Uint8Array;
  readonly spSeed: Uint8Array;
  readonly ppSeed: Uint8Array;
  readonly phProof: Uint8Array;
  readonly shProof: Uint8Array;
  readonly ehProof: Uint8Array;
  readonly owner: HierarchySecrets;
  readonly endorsement: HierarchySecrets;
  readonly lockout: HierarchySecrets;
  readonly disableClear: boolean;
  readonly lockoutAuthEnabled: boolean;
  readonly failedTries: number;
  readonly maxTries: number;
  readonly recoveryTime: number;
  readonly lockoutRecovery: number;
  readonly pcrAllocated: TpmlPcrSelection;
  /** What TPM2_PCR_Allocate asked for: holds from the next TPM2_Startup. */
  readonly pcrAllocatedNext: TpmlPcrSelection;
  readonly pcrPolicy: Policy;
  readonly auditCommands: readonly number[];
  readonly auditHashAlg: number;
  readonly auditCounter: bigint;
  readonly ppCommands: readonly number[];
  readonly algorithmSet: number;
  readonly resetCount: number;
  readonly totalResetCount: bigint;
  /** TPM_SU of the last shutdown, UNORDERLY or UNORDERLY_USED when there was none since. */
  readonly orderlyState: number;
  readonly startupLocality3: boolean;
  readonly preStartupDrtm: boolean;
  readonly nvIndices: ImmutableMap<number, NvIndex>;
  readonly objects: ImmutableMap<number, TpmObject>;
  /** Largest value that a counter index had when it was deleted. */
  readonly maxCounter: bigint;
}

export interface ClockState {
  /** Milliseconds that `Clock` shows. */
  readonly clock: bigint;
  readonly clockSafe: boolean;
  /** Milliseconds since power-on. */
  readonly time: bigint;
  /** Uptime at which `time` was brought up to date. */
  readonly seenMs: number;
  /** Parts per million by which the clock runs fast or slow. */
  readonly ratePpm: number;
  readonly epoch: number;
}

/** Cleared at TPM Reset. */
export interface ResetState {
  readonly nullSeed: Uint8Array;
  readonly nullProof: Uint8Array;
  readonly clearCount: number;
  readonly restartCount: number;
  readonly objectContextId: bigint;
  readonly contextCounter: bigint;
  readonly pcrCounter: number;
  readonly commandAuditDigest: Uint8Array;
  /** By the number that the session's handle carries. */
  readonly savedSessions: ImmutableMap<number, SavedSession>;
  /** Sequences whose context was saved, by the number of the context. */
  readonly savedSequences: ImmutableMap<string, SequenceObject>;
  readonly commitNonce: Uint8Array;
  readonly commitCounter: number;
  readonly commitArray: readonly number[];
}

/** Cleared at Startup(CLEAR). */
export interface ClearState {
  readonly shEnable: boolean;
  readonly ehEnable: boolean;
  readonly phEnable: boolean;
  readonly phEnableNv: boolean;
  readonly platform: HierarchySecrets;
  readonly pcrAuth: Uint8Array;
}

/** Lost with power. */
export interface VolatileState {
  readonly objects: ImmutableMap<number, TransientObject>;
  readonly sessions: ImmutableMap<number, Session>;
  readonly exclusiveAuditSession: number;
  readonly physicalPresence: boolean;
  /** _TPM_Hash_Start .. _TPM_Hash_End in progress. */
  readonly hashSequence: readonly Uint8Array[] | null;
  readonly drtmPreStartup: boolean;
  readonly pcrReconfigured: boolean;
  readonly lockout: LockoutState;
  /** A protected entity was authorized since TPM2_Startup. */
  readonly daUsed: boolean;
  readonly selfHealFrom: bigint;
  readonly lockoutFrom: bigint;
  readonly failureReason: string;
}

export interface SavedState {
  readonly pcr: readonly PcrBank[];
  readonly reset: ResetState;
  readonly clear: ClearState;
}

export interface TpmState {
  readonly config: TpmConfig;
  readonly life: StartupState;
  readonly drbg: DrbgState;
  readonly nv: PersistentState;
  readonly clock: ClockState;
  readonly reset: ResetState;
  readonly clear: ClearState;
  readonly pcr: readonly PcrBank[];
  readonly ram: VolatileState;
  /** What TPM2_Shutdown wrote to NV; null when there was none. */
  readonly saved: SavedState | null;
}
