// Entities behind handles: whether one can be used now, its authValue, its policy, its Name and its
// hierarchy.

import { concat, EMPTY } from '../base/bytes.ts';
import { crypto } from '../crypto/provider.ts';
import { hashName } from './algorithms.ts';
import * as c from './constants.ts';
import type { TpmCursor } from './cursor.ts';
import { NO_POLICY } from './manufacture.ts';
import { be16, be32, marshal } from './marshal.ts';
import { isGuardedPcr } from './pcr.ts';
import * as rc from './rc.ts';
import { isOtherKind } from './sessions.ts';
import type { HierarchySecrets, NvIndex, Policy, TpmObject, TransientObject } from './state.ts';
import { TpmsNvPublic } from './structures-attest.ts';

/** The transient or persistent object of a handle. */
export function objectAt(tpm: TpmCursor, handle: number): TransientObject | undefined {
  return c.handleType(handle) === c.TPM_HT_PERSISTENT
    ? tpm.state.nv.objects.get(handle)
    : tpm.state.ram.objects.get(handle);
}

/** The key or data object of a handle; undefined for a sequence. */
export function keyAt(tpm: TpmCursor, handle: number): TpmObject | undefined {
  const object = objectAt(tpm, handle);
  return object?.kind === 'object' ? object : undefined;
}

export function nvIndexAt(tpm: TpmCursor, handle: number): NvIndex | undefined {
  return tpm.state.nv.nvIndices.get(handle);
}

/** Whether a hierarchy is enabled; the null hierarchy always is. */
export function hierarchyEnabled(tpm: TpmCursor, hierarchy: number): boolean {
  const { clear } = tpm.state;
  if (hierarchy === c.TPM_RH_OWNER) return clear.shEnable;
  if (hierarchy === c.TPM_RH_ENDORSEMENT) return clear.ehEnable;
  if (hierarchy === c.TPM_RH_PLATFORM) return clear.phEnable;
  return true;
}

/**
 * 0 when the entity of a handle can be used, else a response code without the handle's number
 * (TPM_RC_REFERENCE_H0 for
 * what is not loaded).
 * @tcg Part 3, 5.4 Handle Area Validation
 */
export function entityLoadStatus(tpm: TpmCursor, handle: number): number {
  switch (c.handleType(handle)) {
    case c.TPM_HT_PERMANENT:
      if (handle === c.TPM_RH_PLATFORM_NV) return tpm.state.clear.phEnableNv ? 0 : rc.TPM_RC_HIERARCHY;
      return hierarchyEnabled(tpm, handle) ? 0 : rc.TPM_RC_HIERARCHY;
    case c.TPM_HT_TRANSIENT:
      return tpm.state.ram.objects.has(handle) ? 0 : rc.TPM_RC_REFERENCE_H0;
    case c.TPM_HT_PERSISTENT:
      return persistentStatus(tpm, handle);
    case c.TPM_HT_HMAC_SESSION:
    case c.TPM_HT_POLICY_SESSION: {
      if (isOtherKind(tpm, handle)) return rc.TPM_RC_HANDLE;
      return tpm.state.ram.sessions.has(handle) ? 0 : rc.TPM_RC_REFERENCE_H0;
    }
    case c.TPM_HT_NV_INDEX:
      return nvStatus(tpm, handle);
    default:
      return 0;
  }
}

function persistentStatus(tpm: TpmCursor, handle: number): number {
  const object = tpm.state.nv.objects.get(handle);
  if (object === undefined) return rc.TPM_RC_HANDLE;
  if (!hierarchyEnabled(tpm, object.hierarchy)) return rc.TPM_RC_HANDLE;
  return 0;
}

function nvStatus(tpm: TpmCursor, handle: number): number {
  const index = tpm.state.nv.nvIndices.get(handle);
  if (index === undefined) return rc.TPM_RC_HANDLE;
  const platform = (index.public.attributes & c.TPMA_NV_PLATFORMCREATE) !== 0;
  const enabled = platform ? tpm.state.clear.phEnableNv : tpm.state.clear.shEnable;
  return enabled ? 0 : rc.TPM_RC_HANDLE;
}

const withoutTrailingZeros = (bytes: Uint8Array): Uint8Array => {
  let n = bytes.length;
  while (n > 0 && bytes[n - 1] === 0) n--;
  return n === bytes.length ? bytes : bytes.subarray(0, n);
};

export { withoutTrailingZeros };

/** Secrets of a permanent entity; undefined for those that have none. */
export function hierarchySecrets(tpm: TpmCursor, handle: number): HierarchySecrets | undefined {
  const { nv, clear } = tpm.state;
  if (handle === c.TPM_RH_OWNER) return nv.owner;
  if (handle === c.TPM_RH_ENDORSEMENT) return nv.endorsement;
  if (handle === c.TPM_RH_LOCKOUT) return nv.lockout;
  if (handle === c.TPM_RH_PLATFORM) return clear.platform;
  return undefined;
}

/** authValue of an entity without trailing zeros; empty where there is none. */
export function entityAuthValue(tpm: TpmCursor, handle: number): Uint8Array {
  switch (c.handleType(handle)) {
    case c.TPM_HT_PERMANENT:
      return withoutTrailingZeros(hierarchySecrets(tpm, handle)?.auth ?? EMPTY);
    case c.TPM_HT_TRANSIENT:
    case c.TPM_HT_PERSISTENT: {
      const object = objectAt(tpm, handle);
      const auth = object?.kind === 'sequence' ? object.auth : object?.sensitive?.authValue;
      return withoutTrailingZeros(auth ?? EMPTY);
    }
    case c.TPM_HT_NV_INDEX:
      return withoutTrailingZeros(nvIndexAt(tpm, handle)?.authValue ?? EMPTY);
    case c.TPM_HT_PCR:
      return isGuardedPcr(handle) ? withoutTrailingZeros(tpm.state.clear.pcrAuth) : EMPTY;
    default:
      return EMPTY;
  }
}

/** authPolicy of an entity with its hash algorithm (TPM_ALG_NULL when there is none). */
export function entityAuthPolicy(tpm: TpmCursor, handle: number): Policy {
  switch (c.handleType(handle)) {
    case c.TPM_HT_PERMANENT:
      return hierarchySecrets(tpm, handle)?.policy ?? NO_POLICY;
    case c.TPM_HT_TRANSIENT:
    case c.TPM_HT_PERSISTENT: {
      const object = keyAt(tpm, handle);
      return object === undefined
        ? NO_POLICY
        : { alg: object.public.nameAlg, digest: object.public.authPolicy };
    }
    case c.TPM_HT_NV_INDEX: {
      const index = nvIndexAt(tpm, handle);
      return index === undefined ? NO_POLICY : { alg: index.public.nameAlg, digest: index.public.authPolicy };
    }
    case c.TPM_HT_PCR:
      return isGuardedPcr(handle) ? tpm.state.nv.pcrPolicy : NO_POLICY;
    default:
      return NO_POLICY;
  }
}

/**
 * Name of an NV Index.
 * @tcg Part 1, 16 Names
 */
export function nvName(index: NvIndex): Uint8Array {
  const alg = index.public.nameAlg;
  return concat(be16(alg), crypto().hash(hashName(alg), marshal(TpmsNvPublic, index.public)));
}

/** Name of whatever the handle references; for most the handle itself. */
export function entityName(tpm: TpmCursor, handle: number): Uint8Array {
  switch (c.handleType(handle)) {
    case c.TPM_HT_TRANSIENT:
    case c.TPM_HT_PERSISTENT: {
      const object = objectAt(tpm, handle);
      return object?.kind === 'object' ? object.name : EMPTY;
    }
    case c.TPM_HT_NV_INDEX: {
      const index = nvIndexAt(tpm, handle);
      return index === undefined ? EMPTY : nvName(index);
    }
    default:
      return be32(handle);
  }
}

/** Hierarchy that an entity belongs to. */
export function entityHierarchy(tpm: TpmCursor, handle: number): number {
  switch (c.handleType(handle)) {
    case c.TPM_HT_PERMANENT:
      return handle === c.TPM_RH_PLATFORM || handle === c.TPM_RH_ENDORSEMENT || handle === c.TPM_RH_NULL
        ? handle
        : c.TPM_RH_OWNER;
    case c.TPM_HT_NV_INDEX: {
      const attributes = nvIndexAt(tpm, handle)?.public.attributes ?? 0;
      return (attributes & c.TPMA_NV_PLATFORMCREATE) !== 0 ? c.TPM_RH_PLATFORM : c.TPM_RH_OWNER;
    }
    case c.TPM_HT_TRANSIENT:
    case c.TPM_HT_PERSISTENT:
      return keyAt(tpm, handle)?.hierarchy ?? c.TPM_RH_NULL;
    default:
      return c.TPM_RH_OWNER;
  }
}

/** Whether failed authorizations of the entity do not count for dictionary-attack protection. */
export function isDaExempted(tpm: TpmCursor, handle: number): boolean {
  switch (c.handleType(handle)) {
    case c.TPM_HT_PERMANENT:
      return handle !== c.TPM_RH_LOCKOUT;
    case c.TPM_HT_TRANSIENT:
    case c.TPM_HT_PERSISTENT: {
      const object = objectAt(tpm, handle);
      if (object?.kind === 'sequence') return true;
      return ((object?.public.objectAttributes ?? 0) & c.TPMA_OBJECT_NODA) !== 0;
    }
    case c.TPM_HT_NV_INDEX:
      return ((nvIndexAt(tpm, handle)?.public.attributes ?? 0) & c.TPMA_NV_NO_DA) !== 0;
    default:
      return true;
  }
}
