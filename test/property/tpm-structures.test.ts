// Marshalling laws: what is written is read back, and what was read from octets writes the same octets.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import '../../src/crypto/auto.ts';
import { hashSize } from '../../src/tpm/algorithms.ts';
import * as c from '../../src/tpm/constants.ts';
import { type Codec, marshal, unmarshal } from '../../src/tpm/marshal.ts';
import { TpmlPcrSelection, TpmsTimeInfo, TpmtHa, TpmtSymDef } from '../../src/tpm/structures.ts';
import {
  TpmsContext,
  TpmsNvPublic,
  TpmtSignatureNull,
  TpmtTkCreation,
} from '../../src/tpm/structures-attest.ts';
import { TpmtPublic, TpmtRsaScheme, TpmtSensitive } from '../../src/tpm/structures-object.ts';

const bytes = (maxLength: number, minLength = 0) => fc.uint8Array({ minLength, maxLength });
const hashAlg = fc.constantFrom(c.TPM_ALG_SHA1, c.TPM_ALG_SHA256, c.TPM_ALG_SHA384, c.TPM_ALG_SHA512);
const u32 = fc.nat(0xffffffff);
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const hierarchy = fc.constantFrom(c.TPM_RH_OWNER, c.TPM_RH_ENDORSEMENT, c.TPM_RH_PLATFORM, c.TPM_RH_NULL);

const symDef = fc.oneof(
  fc.constant({ algorithm: c.TPM_ALG_NULL, keyBits: 0, mode: 0 }),
  hashAlg.map((keyBits) => ({ algorithm: c.TPM_ALG_XOR, keyBits, mode: 0 })),
  fc.record({
    algorithm: fc.constant(c.TPM_ALG_AES),
    keyBits: fc.constantFrom(128, 256),
    mode: fc.constantFrom(c.TPM_ALG_CFB, c.TPM_ALG_CBC, c.TPM_ALG_CTR, c.TPM_ALG_NULL),
  }),
);
const objectSym = symDef.filter((s) => s.algorithm !== c.TPM_ALG_XOR);
const noScheme = { scheme: c.TPM_ALG_NULL, hashAlg: c.TPM_ALG_NULL, kdf: c.TPM_ALG_NULL, count: 0 };
const scheme = (alg: number) => hashAlg.map((hash) => ({ ...noScheme, scheme: alg, hashAlg: hash }));
const common = {
  nameAlg: hashAlg,
  objectAttributes: fc.constantFrom(0x00030072, 0x00060072, 0x00040440, 0),
  authPolicy: bytes(64),
};

const publicArea = fc.oneof(
  fc.record({
    type: fc.constant(c.TPM_ALG_RSA),
    ...common,
    parameters: fc.record({
      symmetric: objectSym,
      scheme: fc.oneof(fc.constant(noScheme), scheme(c.TPM_ALG_RSASSA), scheme(c.TPM_ALG_OAEP)),
      keyBits: fc.constantFrom(1024, 2048, 3072),
      exponent: u32,
    }),
    unique: bytes(256),
  }),
  fc.record({
    type: fc.constant(c.TPM_ALG_ECC),
    ...common,
    parameters: fc.record({
      symmetric: objectSym,
      scheme: fc.oneof(fc.constant(noScheme), scheme(c.TPM_ALG_ECDSA)),
      curveId: fc.constantFrom(3, 4, 5),
      kdf: fc.constant({ scheme: c.TPM_ALG_NULL, hashAlg: c.TPM_ALG_NULL }),
    }),
    unique: fc.record({ x: bytes(66), y: bytes(66) }),
  }),
  fc.record({
    type: fc.constant(c.TPM_ALG_KEYEDHASH),
    ...common,
    parameters: fc.record({ scheme: fc.oneof(fc.constant(noScheme), scheme(c.TPM_ALG_HMAC)) }),
    unique: bytes(64),
  }),
  fc.record({
    type: fc.constant(c.TPM_ALG_SYMCIPHER),
    ...common,
    parameters: objectSym.filter((s) => s.algorithm === c.TPM_ALG_AES),
    unique: bytes(64),
  }),
);

const signature = fc.oneof(
  fc.constant({
    sigAlg: c.TPM_ALG_NULL,
    hashAlg: c.TPM_ALG_NULL,
    sig: new Uint8Array(),
    r: new Uint8Array(),
    s: new Uint8Array(),
  }),
  fc.record({
    sigAlg: fc.constantFrom(c.TPM_ALG_RSASSA, c.TPM_ALG_RSAPSS),
    hashAlg,
    sig: bytes(256),
    r: fc.constant(new Uint8Array()),
    s: fc.constant(new Uint8Array()),
  }),
  fc.record({
    sigAlg: fc.constantFrom(c.TPM_ALG_ECDSA, c.TPM_ALG_ECSCHNORR),
    hashAlg,
    sig: fc.constant(new Uint8Array()),
    r: bytes(66),
    s: bytes(66),
  }),
);

const timeInfo = fc.record({
  time: u64,
  clockInfo: fc.record({ clock: u64, resetCount: u32, restartCount: u32, safe: fc.nat(1) }),
});

const CASES: readonly (readonly [string, Codec<unknown>, fc.Arbitrary<unknown>])[] = [
  ['TPMT_SYM_DEF', TpmtSymDef as Codec<unknown>, symDef],
  [
    'TPMT_RSA_SCHEME',
    TpmtRsaScheme as Codec<unknown>,
    fc.oneof(
      fc.constant(noScheme),
      scheme(c.TPM_ALG_RSAPSS),
      fc.constant({ ...noScheme, scheme: c.TPM_ALG_RSAES }),
    ),
  ],
  ['TPMT_PUBLIC', TpmtPublic as Codec<unknown>, publicArea],
  [
    'TPMT_SENSITIVE',
    TpmtSensitive as Codec<unknown>,
    fc.record({
      sensitiveType: fc.constantFrom(c.TPM_ALG_RSA, c.TPM_ALG_ECC, c.TPM_ALG_KEYEDHASH),
      authValue: bytes(64),
      seedValue: bytes(64),
      sensitive: bytes(256),
    }),
  ],
  ['TPMT_SIGNATURE', TpmtSignatureNull as Codec<unknown>, signature],
  ['TPMS_TIME_INFO', TpmsTimeInfo as Codec<unknown>, timeInfo],
  [
    'TPML_PCR_SELECTION',
    TpmlPcrSelection as Codec<unknown>,
    fc.array(fc.record({ hash: hashAlg, pcrSelect: bytes(3, 3) }), { maxLength: 4 }),
  ],
  [
    'TPMT_HA',
    TpmtHa as Codec<unknown>,
    hashAlg.chain((alg) =>
      fc.record({ hashAlg: fc.constant(alg), digest: bytes(hashSize(alg), hashSize(alg)) }),
    ),
  ],
  [
    'TPMT_TK_CREATION',
    TpmtTkCreation as Codec<unknown>,
    fc.record({ tag: fc.constant(c.TPM_ST_CREATION), hierarchy, digest: bytes(64) }),
  ],
  [
    'TPMS_NV_PUBLIC',
    TpmsNvPublic as Codec<unknown>,
    fc.record({
      nvIndex: fc.integer({ min: 0x01000000, max: 0x01ffffff }),
      nameAlg: hashAlg,
      attributes: fc.constantFrom(0x00060006, 0x40020002, 0xe0040004),
      authPolicy: bytes(64),
      dataSize: fc.nat(2048),
    }),
  ],
  [
    'TPMS_CONTEXT',
    TpmsContext as Codec<unknown>,
    fc.record({
      sequence: u64,
      savedHandle: fc.constantFrom(0x80000000, 0x80000002, 0x02000001, 0x03000003),
      hierarchy,
      contextBlob: bytes(200),
    }),
  ],
];

describe('marshalling', () => {
  test.each(CASES)('%s is read back as it was written', (_name, codec, arbitrary) => {
    fc.assert(
      fc.property(arbitrary, (value) => {
        const octets = marshal(codec, value);
        expect(unmarshal(codec, octets)).toEqual({ rc: 0, value });
        expect(unmarshal(codec, new Uint8Array([...octets, 0])).rc).toBe(0x95);
      }),
    );
  });

  test.each(CASES)('%s: octets that are read write the same octets', (_name, codec) => {
    fc.assert(
      fc.property(bytes(60), (octets) => {
        const read = unmarshal(codec, octets);
        if (read.rc === 0) expect(marshal(codec, read.value)).toEqual(octets);
      }),
    );
  });
});
