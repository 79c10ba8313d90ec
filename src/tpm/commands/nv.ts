// Part 3, chapter 31: NV indices.

import { concat, EMPTY } from '../../base/bytes.ts';
import { crypto } from '../../crypto/provider.ts';
import { hashName, hashSize } from '../algorithms.ts';
import { attest, signerOf } from '../attest.ts';
import { admin, command, reference, user } from '../command.ts';
import * as c from '../constants.ts';
import type { TpmCursor } from '../cursor.ts';
import { nvIndexAt, nvName, withoutTrailingZeros } from '../entity.ts';
import { be64, Uint16, Uint64 } from '../marshal.ts';
import {
  counterValue,
  deleteIndex,
  hasRoomForIndex,
  maxCount,
  putIndex,
  readAccess,
  withAttributes,
  writeAccess,
  writeIndex,
} from '../nv.ts';
import * as rc from '../rc.ts';
import type { NvIndex } from '../state.ts';
import {
  Tpm2bAuth,
  Tpm2bData,
  Tpm2bMaxNvBuffer,
  Tpm2bName,
  TpmiDhObjectNull,
  TpmiRhNvAuth,
  TpmiRhNvIndex,
  TpmiRhPlatform,
  TpmiRhProvision,
} from '../structures.ts';
import { Tpm2bAttest, Tpm2bNvPublic, type TpmsNvPublic, TpmtSignatureNull } from '../structures-attest.ts';
import { TpmtSigScheme } from '../structures-object.ts';

const has = (attributes: number, bits: number): boolean => (attributes & bits) !== 0;
const hasBoth = (attributes: number, bits: number): boolean => (attributes & bits) === bits;

const READ_BITS = c.TPMA_NV_OWNERREAD | c.TPMA_NV_PPREAD | c.TPMA_NV_AUTHREAD | c.TPMA_NV_POLICYREAD;
const WRITE_BITS = c.TPMA_NV_OWNERWRITE | c.TPMA_NV_PPWRITE | c.TPMA_NV_AUTHWRITE | c.TPMA_NV_POLICYWRITE;
const STATE_BITS = c.TPMA_NV_WRITTEN | c.TPMA_NV_WRITELOCKED | c.TPMA_NV_READLOCKED;
const PIN_FORBIDDEN = c.TPMA_NV_AUTHWRITE | c.TPMA_NV_GLOBALLOCK | c.TPMA_NV_WRITEDEFINE;

/** Rules of the index's type; a response code or 0. */
function typeRules(info: TpmsNvPublic): number {
  const a = info.attributes;
  switch (c.nvType(a)) {
    case c.TPM_NT_ORDINARY:
      return info.dataSize > c.MAX_NV_INDEX_SIZE ? rc.TPM_RC_SIZE : 0;
    case c.TPM_NT_EXTEND:
      return info.dataSize === hashSize(info.nameAlg) ? 0 : rc.TPM_RC_SIZE;
    case c.TPM_NT_COUNTER:
      if (info.dataSize !== 8) return rc.TPM_RC_SIZE;
      return has(a, c.TPMA_NV_CLEAR_STCLEAR) ? rc.TPM_RC_ATTRIBUTES : 0;
    case c.TPM_NT_BITS:
      return info.dataSize === 8 ? 0 : rc.TPM_RC_SIZE;
    case c.TPM_NT_PIN_FAIL:
    case c.TPM_NT_PIN_PASS:
      if (info.dataSize !== 8) return rc.TPM_RC_SIZE;
      if (c.nvType(a) === c.TPM_NT_PIN_FAIL && !has(a, c.TPMA_NV_NO_DA)) return rc.TPM_RC_ATTRIBUTES;
      return has(a, PIN_FORBIDDEN) ? rc.TPM_RC_ATTRIBUTES : 0;
    default:
      return rc.TPM_RC_ATTRIBUTES;
  }
}

/** Rules of the attributes among themselves; a response code or 0. */
function attributeRules(info: TpmsNvPublic): number {
  const a = info.attributes;
  if (has(a, STATE_BITS) || !has(a, READ_BITS) || !has(a, WRITE_BITS)) return rc.TPM_RC_ATTRIBUTES;
  return hasBoth(a, c.TPMA_NV_CLEAR_STCLEAR | c.TPMA_NV_WRITEDEFINE) ? rc.TPM_RC_ATTRIBUTES : 0;
}

/** @tcg Part 3, 31.3 TPM2_NV_DefineSpace */
export const nvDefineSpace = command({
  code: 0x12a,
  name: 'NV_DefineSpace',
  handles: { authHandle: user(TpmiRhProvision) },
  parameters: { auth: Tpm2bAuth, publicInfo: Tpm2bNvPublic },
  response: {},
  nv: true,
  pp: 'command',
  run(tpm, { authHandle, auth, publicInfo }) {
    const a = publicInfo.attributes;
    const digest = hashSize(publicInfo.nameAlg);
    const policySize = publicInfo.authPolicy.length;
    if (policySize !== 0 && policySize !== digest) return rc.rcParameter(2, rc.TPM_RC_SIZE);
    const authValue = withoutTrailingZeros(auth);
    if (authValue.length > digest) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const platform = authHandle === c.TPM_RH_PLATFORM;
    if (platform && !tpm.state.clear.phEnableNv) return rc.rcHandle(1, rc.TPM_RC_HIERARCHY);
    const refused = typeRules(publicInfo) || attributeRules(publicInfo);
    if (refused !== 0) return rc.rcParameter(2, refused);
    if (has(a, c.TPMA_NV_PLATFORMCREATE) !== platform) return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
    if (has(a, c.TPMA_NV_POLICY_DELETE) && !platform) return rc.rcParameter(2, rc.TPM_RC_ATTRIBUTES);
    if (publicInfo.dataSize > c.MAX_NV_BUFFER_SIZE && has(a, c.TPMA_NV_WRITEALL)) {
      return rc.rcParameter(2, rc.TPM_RC_SIZE);
    }
    if (tpm.state.nv.nvIndices.has(publicInfo.nvIndex)) return rc.TPM_RC_NV_DEFINED;
    if (!hasRoomForIndex(tpm, a, publicInfo.dataSize)) return rc.TPM_RC_NV_SPACE;
    putIndex(tpm, { public: publicInfo, authValue, data: new Uint8Array(publicInfo.dataSize) });
    return {};
  },
});

/** @tcg Part 3, 31.4 TPM2_NV_UndefineSpace */
export const nvUndefineSpace = command({
  code: 0x122,
  name: 'NV_UndefineSpace',
  handles: { authHandle: user(TpmiRhProvision), nvIndex: reference(TpmiRhNvIndex) },
  parameters: {},
  response: {},
  nv: true,
  pp: 'command',
  run(tpm, { authHandle, nvIndex }) {
    const index = nvIndexAt(tpm, nvIndex);
    if (index === undefined) return rc.rcHandle(2, rc.TPM_RC_HANDLE);
    const a = index.public.attributes;
    if (has(a, c.TPMA_NV_POLICY_DELETE)) return rc.rcHandle(2, rc.TPM_RC_ATTRIBUTES);
    if (authHandle === c.TPM_RH_OWNER && has(a, c.TPMA_NV_PLATFORMCREATE)) return rc.TPM_RC_NV_AUTHORIZATION;
    deleteIndex(tpm, index);
    return {};
  },
});

/** @tcg Part 3, 31.5 TPM2_NV_UndefineSpaceSpecial */
export const nvUndefineSpaceSpecial = command({
  code: 0x11f,
  name: 'NV_UndefineSpaceSpecial',
  handles: { nvIndex: admin(TpmiRhNvIndex), platform: user(TpmiRhPlatform) },
  parameters: {},
  response: {},
  nv: true,
  pp: 'command',
  run(tpm, { nvIndex }, info) {
    const index = nvIndexAt(tpm, nvIndex);
    if (index === undefined || !has(index.public.attributes, c.TPMA_NV_POLICY_DELETE)) {
      return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
    }
    deleteIndex(tpm, index);
    info.dropAssociation(nvIndex);
    return {};
  },
});

/** @tcg Part 3, 31.6 TPM2_NV_ReadPublic */
export const nvReadPublic = command({
  code: 0x169,
  name: 'NV_ReadPublic',
  handles: { nvIndex: reference(TpmiRhNvIndex) },
  parameters: {},
  response: { nvPublic: Tpm2bNvPublic, nvName: Tpm2bName },
  run(tpm, { nvIndex }) {
    const index = nvIndexAt(tpm, nvIndex);
    if (index === undefined) return rc.rcHandle(1, rc.TPM_RC_HANDLE);
    return { nvPublic: index.public, nvName: nvName(index) };
  },
});

/** The index of a write command, or why it may not be written. */
function writable(tpm: TpmCursor, authHandle: number, nvIndex: number): NvIndex | number {
  const index = nvIndexAt(tpm, nvIndex);
  if (index === undefined) return rc.rcHandle(2, rc.TPM_RC_HANDLE);
  const refused = writeAccess(authHandle, nvIndex, index.public.attributes);
  return refused === 0 ? index : refused;
}

const WRITE_HANDLES = { authHandle: user(TpmiRhNvAuth), nvIndex: reference(TpmiRhNvIndex) };
const NOT_WRITTEN_DIRECTLY: readonly number[] = [c.TPM_NT_COUNTER, c.TPM_NT_BITS, c.TPM_NT_EXTEND];

/** @tcg Part 3, 31.7 TPM2_NV_Write */
export const nvWrite = command({
  code: 0x137,
  name: 'NV_Write',
  handles: WRITE_HANDLES,
  parameters: { data: Tpm2bMaxNvBuffer, offset: Uint16 },
  response: {},
  nv: true,
  nvWrite: true,
  run(tpm, { authHandle, nvIndex, data, offset }) {
    const index = writable(tpm, authHandle, nvIndex);
    if (typeof index === 'number') return index;
    const { attributes, dataSize } = index.public;
    if (NOT_WRITTEN_DIRECTLY.includes(c.nvType(attributes))) return rc.TPM_RC_ATTRIBUTES;
    if (offset > dataSize) return rc.rcParameter(2, rc.TPM_RC_VALUE);
    if (data.length > dataSize - offset) return rc.TPM_RC_NV_RANGE;
    if (has(attributes, c.TPMA_NV_WRITEALL) && data.length < dataSize) return rc.TPM_RC_NV_RANGE;
    writeIndex(tpm, index, offset, data);
    return {};
  },
});

/** @tcg Part 3, 31.8 TPM2_NV_Increment */
export const nvIncrement = command({
  code: 0x134,
  name: 'NV_Increment',
  handles: WRITE_HANDLES,
  parameters: {},
  response: {},
  nv: true,
  nvWrite: true,
  run(tpm, { authHandle, nvIndex }) {
    const index = writable(tpm, authHandle, nvIndex);
    if (typeof index === 'number') return index;
    const { attributes } = index.public;
    if (c.nvType(attributes) !== c.TPM_NT_COUNTER) return rc.rcHandle(2, rc.TPM_RC_ATTRIBUTES);
    const count = has(attributes, c.TPMA_NV_WRITTEN) ? counterValue(index) : maxCount(tpm);
    writeIndex(tpm, index, 0, be64(BigInt.asUintN(64, count + 1n)));
    return {};
  },
});

/** @tcg Part 3, 31.9 TPM2_NV_Extend */
export const nvExtend = command({
  code: 0x136,
  name: 'NV_Extend',
  handles: WRITE_HANDLES,
  parameters: { data: Tpm2bMaxNvBuffer },
  response: {},
  nv: true,
  nvWrite: true,
  run(tpm, { authHandle, nvIndex, data }) {
    const index = writable(tpm, authHandle, nvIndex);
    if (typeof index === 'number') return index;
    const { attributes, nameAlg } = index.public;
    if (c.nvType(attributes) !== c.TPM_NT_EXTEND) return rc.rcHandle(2, rc.TPM_RC_ATTRIBUTES);
    const written = has(attributes, c.TPMA_NV_WRITTEN);
    const old = written ? index.data : new Uint8Array(hashSize(nameAlg));
    writeIndex(tpm, index, 0, crypto().hash(hashName(nameAlg), concat(old, data)));
    return {};
  },
});

/** @tcg Part 3, 31.10 TPM2_NV_SetBits */
export const nvSetBits = command({
  code: 0x135,
  name: 'NV_SetBits',
  handles: WRITE_HANDLES,
  parameters: { bits: Uint64 },
  response: {},
  nv: true,
  nvWrite: true,
  run(tpm, { authHandle, nvIndex, bits }) {
    const index = writable(tpm, authHandle, nvIndex);
    if (typeof index === 'number') return index;
    const { attributes } = index.public;
    if (c.nvType(attributes) !== c.TPM_NT_BITS) return rc.rcHandle(2, rc.TPM_RC_ATTRIBUTES);
    const old = has(attributes, c.TPMA_NV_WRITTEN) ? counterValue(index) : 0n;
    writeIndex(tpm, index, 0, be64(old | bits));
    return {};
  },
});

/** @tcg Part 3, 31.11 TPM2_NV_WriteLock */
export const nvWriteLock = command({
  code: 0x138,
  name: 'NV_WriteLock',
  handles: WRITE_HANDLES,
  parameters: {},
  response: {},
  nv: true,
  nvWrite: true,
  run(tpm, { authHandle, nvIndex }) {
    const index = writable(tpm, authHandle, nvIndex);
    if (typeof index === 'number') return index === rc.TPM_RC_NV_LOCKED ? {} : index;
    const { attributes } = index.public;
    if (!has(attributes, c.TPMA_NV_WRITEDEFINE | c.TPMA_NV_WRITE_STCLEAR)) {
      return rc.rcHandle(2, rc.TPM_RC_ATTRIBUTES);
    }
    putIndex(tpm, withAttributes(index, attributes | c.TPMA_NV_WRITELOCKED));
    return {};
  },
});

/** @tcg Part 3, 31.12 TPM2_NV_GlobalWriteLock */
export const nvGlobalWriteLock = command({
  code: 0x132,
  name: 'NV_GlobalWriteLock',
  handles: { authHandle: user(TpmiRhProvision) },
  parameters: {},
  response: {},
  nv: true,
  pp: 'command',
  run(tpm) {
    const nvIndices = tpm.state.nv.nvIndices.map((index) =>
      has(index.public.attributes, c.TPMA_NV_GLOBALLOCK)
        ? withAttributes(index, index.public.attributes | c.TPMA_NV_WRITELOCKED)
        : index,
    );
    tpm.setNv({ nvIndices });
    return {};
  },
});

/** @tcg Part 3, 31.13 TPM2_NV_Read */
export const nvRead = command({
  code: 0x14e,
  name: 'NV_Read',
  handles: WRITE_HANDLES,
  parameters: { size: Uint16, offset: Uint16 },
  response: { data: Tpm2bMaxNvBuffer },
  run(tpm, { authHandle, nvIndex, size, offset }) {
    const index = nvIndexAt(tpm, nvIndex);
    if (index === undefined) return rc.rcHandle(2, rc.TPM_RC_HANDLE);
    const { attributes, dataSize } = index.public;
    const refused = readAccess(authHandle, nvIndex, attributes);
    if (refused !== 0) return refused;
    if (size > c.MAX_NV_BUFFER_SIZE) return rc.rcParameter(1, rc.TPM_RC_VALUE);
    if (offset > dataSize) return rc.rcParameter(2, rc.TPM_RC_VALUE);
    if (size > dataSize - offset) return rc.TPM_RC_NV_RANGE;
    return { data: index.data.subarray(offset, offset + size) };
  },
});

/** @tcg Part 3, 31.14 TPM2_NV_ReadLock */
export const nvReadLock = command({
  code: 0x14f,
  name: 'NV_ReadLock',
  handles: WRITE_HANDLES,
  parameters: {},
  response: {},
  nv: true,
  run(tpm, { authHandle, nvIndex }) {
    const index = nvIndexAt(tpm, nvIndex);
    if (index === undefined) return rc.rcHandle(2, rc.TPM_RC_HANDLE);
    const { attributes } = index.public;
    const refused = readAccess(authHandle, nvIndex, attributes);
    if (refused === rc.TPM_RC_NV_AUTHORIZATION) return refused;
    if (refused === rc.TPM_RC_NV_LOCKED) return {};
    if (!has(attributes, c.TPMA_NV_READ_STCLEAR)) return rc.rcHandle(2, rc.TPM_RC_ATTRIBUTES);
    putIndex(tpm, withAttributes(index, attributes | c.TPMA_NV_READLOCKED));
    return {};
  },
});

/** @tcg Part 3, 31.15 TPM2_NV_ChangeAuth */
export const nvChangeAuth = command({
  code: 0x13b,
  name: 'NV_ChangeAuth',
  handles: { nvIndex: admin(TpmiRhNvIndex) },
  parameters: { newAuth: Tpm2bAuth },
  response: {},
  nv: true,
  run(tpm, { nvIndex, newAuth }) {
    const index = nvIndexAt(tpm, nvIndex);
    if (index === undefined) return rc.rcHandle(1, rc.TPM_RC_HANDLE);
    const authValue = withoutTrailingZeros(newAuth);
    if (authValue.length > hashSize(index.public.nameAlg)) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    putIndex(tpm, { ...index, authValue });
    return {};
  },
});

/** @tcg Part 3, 31.16 TPM2_NV_Certify */
export const nvCertify = command({
  code: 0x184,
  name: 'NV_Certify',
  handles: {
    signHandle: user(TpmiDhObjectNull),
    authHandle: user(TpmiRhNvAuth),
    nvIndex: reference(TpmiRhNvIndex),
  },
  parameters: { qualifyingData: Tpm2bData, inScheme: TpmtSigScheme, size: Uint16, offset: Uint16 },
  response: { certifyInfo: Tpm2bAttest, signature: TpmtSignatureNull },
  run(tpm, { signHandle, authHandle, nvIndex, qualifyingData, inScheme, size, offset }) {
    const signer = signerOf(tpm, signHandle, inScheme, 1, 2);
    if (typeof signer === 'number') return signer;
    const index = nvIndexAt(tpm, nvIndex);
    if (index === undefined) return rc.rcHandle(3, rc.TPM_RC_HANDLE);
    const refused = readAccess(authHandle, nvIndex, index.public.attributes);
    if (refused !== 0) return refused;
    if (size + offset > index.public.dataSize) return rc.TPM_RC_NV_RANGE;
    if (size > c.MAX_NV_BUFFER_SIZE) return rc.rcParameter(3, rc.TPM_RC_VALUE);
    const indexName = nvName(index);
    const { hashAlg } = signer.scheme;
    const wholeDigest = (): Uint8Array =>
      hashAlg === c.TPM_ALG_NULL ? EMPTY : crypto().hash(hashName(hashAlg), index.data);
    const attested =
      size !== 0 || offset !== 0
        ? ({
            type: c.TPM_ST_ATTEST_NV,
            info: { indexName, offset, nvContents: index.data.subarray(offset, offset + size) },
          } as const)
        : ({ type: c.TPM_ST_ATTEST_NV_DIGEST, info: { indexName, nvDigest: wholeDigest() } } as const);
    const done = attest(tpm, signer, qualifyingData, attested);
    return typeof done === 'number' ? done : { certifyInfo: done.octets, signature: done.signature };
  },
});
