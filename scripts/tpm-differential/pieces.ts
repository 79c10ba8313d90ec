// Random octets for each type of parameter: mostly what the type allows, sometimes what it does not.

import { concat, EMPTY, utf8 } from '../../src/base/bytes.ts';
import {
  be16,
  be32,
  be64,
  type Codec,
  sizedBytes,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
} from '../../src/tpm/marshal.ts';
import * as S from '../../src/tpm/structures.ts';
import * as A from '../../src/tpm/structures-attest.ts';
import * as O from '../../src/tpm/structures-object.ts';
import type { Dice } from './dice.ts';

export type Make = (dice: Dice) => Uint8Array;

const HASHES = [0x04, 0x0b, 0x0b, 0x0b, 0x0c, 0x0d];
const ODD_ALGS = [0x00, 0x01, 0x10, 0x12, 0x27, 0x06, 0xffff, 0x0a];
const PASSWORDS = ['', '', '', 'a', 'owner', 'a longer secret of 26 oct', 'x'.repeat(33), 'y'.repeat(64)];

export const hashAlg = (dice: Dice): number => (dice.chance(94) ? dice.pick(HASHES) : dice.pick(ODD_ALGS));
export const authValue = (dice: Dice): Uint8Array => {
  const text = utf8(dice.pick(PASSWORDS));
  return dice.chance(5) ? concat(text, new Uint8Array(3)) : text;
};

const ofSize =
  (sizes: readonly number[]): Make =>
  (dice) =>
    sizedBytes(dice.bytes(dice.pick(sizes)));
const u16Of =
  (...values: readonly number[]): Make =>
  (dice) =>
    be16(dice.chance(96) ? dice.pick(values) : dice.below(0x10000));

const yesNo: Make = (dice) => Uint8Array.of(dice.pick([0, 1, 0, 1, 0, 1, 2]));

const pcrSelection: Make = (dice) => {
  const size = dice.chance(94) ? 3 : dice.below(6);
  const bits = dice.bytes(size).map((octet) => (dice.chance(50) ? octet : octet & dice.below(256)));
  return concat(be16(hashAlg(dice)), Uint8Array.of(size), bits);
};
const pcrSelections: Make = (dice) => {
  const count = dice.pick([0, 1, 1, 1, 2, 3, 5]);
  const items = Array.from({ length: count }, () => pcrSelection(dice));
  return concat(be32(count), ...items);
};

/** TDES and Camellia, which swtpm has and kisim has not, are left out on purpose. */
const CIPHERS = [0x06, 0x06, 0x06, 0x06, 0x06, 0x06, 0x13];
const symObject: Make = (dice) => {
  if (dice.chance(40)) return be16(0x10);
  const alg = dice.chance(98) ? dice.pick(CIPHERS) : dice.pick([0, 1, 0x10, 0x0a, 0x44]);
  const bits = dice.pick([128, 128, 128, 256, 192, 64]);
  return concat(
    be16(alg),
    be16(bits),
    be16(dice.pick([0x43, 0x43, 0x43, 0x40, 0x41, 0x42, 0x44, 0x3f, 0x10])),
  );
};
const symSession: Make = (dice) => {
  if (dice.chance(30)) return be16(0x10);
  if (dice.chance(20)) return concat(be16(0x0a), be16(hashAlg(dice)));
  return dice.chance(80) ? concat(be16(6), be16(128), be16(0x43)) : symObject(dice);
};

export const sigScheme: Make = (dice) => {
  if (dice.chance(45)) return be16(0x10);
  const alg = dice.pick([0x14, 0x16, 0x18, 0x18, 0x1a, 0x1c, 0x05, 0x1b, 0x15, 0x99]);
  return concat(be16(alg), be16(hashAlg(dice)), alg === 0x1a ? be16(dice.below(4)) : EMPTY);
};
const rsaDecryptScheme: Make = (dice) => {
  const alg = dice.pick([0x10, 0x15, 0x17, 0x17, 0x14]);
  return alg === 0x10 || alg === 0x15 ? be16(alg) : concat(be16(alg), be16(hashAlg(dice)));
};

// --- public areas

const FIXED = 0x12;
const ORIGIN = 0x20;
const USER = 0x40;
const NODA = 0x400;

function attributes(dice: Dice, base: number): number {
  let a = base | (dice.chance(60) ? NODA : 0);
  if (dice.chance(15)) a &= ~FIXED;
  if (dice.chance(8)) a ^= 1 << dice.below(20);
  return a >>> 0;
}

interface Template {
  readonly type: number;
  readonly attributes: number;
  readonly parameters: Uint8Array;
  readonly unique: Uint8Array;
}

const AES_CFB = concat(be16(6), be16(128), be16(0x43));
const NULL_ALG = be16(0x10);
const CURVES = [3, 3, 3, 3, 4, 5, 1, 2, 0x10, 0x20, 6];

function eccTemplate(dice: Dice): Template {
  const kind = dice.below(5);
  const curve = dice.chance(70) ? 3 : dice.pick(CURVES);
  const unique = dice.chance(85)
    ? concat(be16(0), be16(0))
    : concat(ofSize([32, 0])(dice), ofSize([32, 0])(dice));
  const kdf = dice.chance(92) ? NULL_ALG : concat(be16(dice.pick([0x20, 0x22, 7])), be16(0xb));
  const build = (a: number, symmetric: Uint8Array, scheme: Uint8Array): Template => ({
    type: 0x23,
    attributes: attributes(dice, a | FIXED | ORIGIN | USER),
    parameters: concat(symmetric, scheme, be16(curve), kdf),
    unique,
  });
  if (kind === 0) return build(0x30000, AES_CFB, NULL_ALG);
  if (kind === 1) return build(0x40000, NULL_ALG, concat(be16(0x18), be16(hashAlg(dice))));
  if (kind === 2) return build(0x60000, NULL_ALG, NULL_ALG);
  if (kind === 3) return build(0x50000, NULL_ALG, concat(be16(dice.pick([0x18, 0x1c])), be16(hashAlg(dice))));
  return build(dice.pick([0x40000, 0x20000]), NULL_ALG, sigScheme(dice));
}

function rsaTemplate(dice: Dice): Template {
  const kind = dice.below(4);
  const bits = dice.chance(90) ? 1024 : dice.pick([2048, 512, 4096, 1000]);
  const exponent = dice.pick([0, 0, 0, 65537, 3, 2]);
  const build = (a: number, symmetric: Uint8Array, scheme: Uint8Array): Template => ({
    type: 1,
    attributes: attributes(dice, a | FIXED | ORIGIN | USER),
    parameters: concat(symmetric, scheme, be16(bits), be32(exponent)),
    unique: dice.chance(85) ? be16(0) : ofSize([128, 256, 1])(dice),
  });
  if (kind === 0) return build(0x30000, AES_CFB, NULL_ALG);
  if (kind === 1) return build(0x40000, NULL_ALG, sigScheme(dice));
  if (kind === 2) return build(0x20000, NULL_ALG, rsaDecryptScheme(dice));
  return build(0x60000, NULL_ALG, NULL_ALG);
}

function symTemplate(dice: Dice): Template {
  const kind = dice.below(5);
  const mac = concat(be16(5), be16(hashAlg(dice)));
  const build = (type: number, a: number, parameters: Uint8Array): Template => ({
    type,
    attributes: attributes(dice, a),
    parameters,
    unique: dice.chance(90) ? be16(0) : ofSize([32, 20])(dice),
  });
  const keyed = FIXED | USER;
  if (kind === 0) return build(8, keyed, NULL_ALG);
  if (kind === 1) return build(8, keyed | ORIGIN | 0x40000, mac);
  if (kind === 2) return build(8, keyed | ORIGIN | 0x30000, concat(be16(0xa), be16(0xb), be16(0x22)));
  if (kind === 3) return build(0x25, keyed | ORIGIN | 0x60000, concat(symObject(dice)));
  return build(0x25, keyed | ORIGIN | dice.pick([0x30000, 0x40000, 0x20000]), AES_CFB);
}

export const template: Make = (dice) => {
  const t = dice.chance(6) ? rsaTemplate(dice) : dice.chance(45) ? eccTemplate(dice) : symTemplate(dice);
  const type = dice.chance(99) ? t.type : dice.pick([0x06, 0x10]);
  const policy = dice.chance(75) ? be16(0) : ofSize([32, 32, 20, 65])(dice);
  return concat(be16(type), be16(hashAlg(dice)), be32(t.attributes), policy, t.parameters, t.unique);
};

const publicParms: Make = (dice) => {
  const t = dice.chance(40) ? rsaTemplate(dice) : dice.chance(50) ? eccTemplate(dice) : symTemplate(dice);
  return concat(be16(t.type), t.parameters);
};

const sensitiveCreate: Make = (dice) =>
  sizedBytes(
    concat(sizedBytes(authValue(dice)), dice.chance(60) ? be16(0) : ofSize([1, 16, 32, 128, 129])(dice)),
  );

/** Keys that come from outside: the same octets for both TPMs. */
function externalKey(dice: Dice): { readonly area: Uint8Array; readonly sensitive: Uint8Array } {
  const isHmac = dice.chance(50);
  const alg = dice.pick([0x04, 0x0b, 0x0b, 0x0c]);
  const type = isHmac ? 8 : 0x25;
  const secret = dice.bytes(isHmac ? dice.pick([16, 32, 64]) : 16);
  const parameters = isHmac
    ? dice.chance(50)
      ? concat(be16(5), be16(dice.pick([4, 0xb, 0xc])))
      : NULL_ALG
    : concat(be16(6), be16(128), be16(dice.pick([0x43, 0x40, 0x41, 0x42, 0x44, 0x3f, 0x10])));
  const a = isHmac ? 0x40040 : dice.pick([0x60040, 0x60040, 0x20040, 0x40040]);
  const nameAlg = dice.chance(40) ? 0x10 : alg;
  const area = concat(
    be16(type),
    be16(nameAlg),
    be32(attributes(dice, a) & ~FIXED),
    be16(0),
    parameters,
    be16(0),
  );
  const sensitive = concat(be16(type), sizedBytes(authValue(dice)), be16(0), sizedBytes(secret));
  return { area, sensitive };
}

export const loadExternal: Make = (dice) => {
  const { area, sensitive } = externalKey(dice);
  const withPrivate = dice.chance(90);
  const publicOnly = dice.chance(70) ? area : template(dice);
  const hierarchy = dice.chance(90) ? 0x40000007 : hierarchyOf(dice);
  return concat(
    withPrivate ? sizedBytes(sensitive) : be16(0),
    sizedBytes(withPrivate ? area : publicOnly),
    be32(hierarchy),
  );
};

const HIERARCHIES = [0x40000001, 0x40000001, 0x4000000b, 0x4000000c, 0x40000007];
export const hierarchyOf = (dice: Dice): number =>
  dice.chance(97) ? dice.pick(HIERARCHIES) : dice.pick([0x4000000a, 0x40000009, 0x40000000, 0x80000000, 0]);

// --- NV

export const NV_INDICES = [0x01000001, 0x01000002, 0x01000003, 0x01800001, 0x01c00002, 0x01ffffff];
const NV_TYPES = [0, 0, 0, 1, 2, 4, 8, 9, 3];
const nvPublic: Make = (dice) => {
  const nt = dice.pick(NV_TYPES);
  let a = (nt << 4) | dice.pick([0x20002, 0x40004, 0x60006, 0xf000f, 0x10001, 0x60006]);
  if (dice.chance(50)) a |= 1 << dice.pick([10, 12, 13, 14, 15, 25, 26, 27, 31]);
  if (dice.chance(25)) a |= 0x40000000;
  if (nt === 8 && dice.chance(80)) a = (a | 0x02000000) & ~4;
  if (nt === 9 && dice.chance(80)) a &= ~4;
  if (dice.chance(5)) a ^= 1 << dice.below(32);
  const nameAlg = hashAlg(dice);
  const digest = ({ 4: 20, 11: 32, 12: 48, 13: 64 } as Record<number, number>)[nameAlg] ?? 32;
  const size = nt === 4 ? digest : nt === 0 ? dice.pick([0, 1, 8, 32, 64, 1024, 2049]) : 8;
  const policy = dice.chance(85) ? be16(0) : ofSize([digest, 20])(dice);
  const body = concat(be32(dice.pick(NV_INDICES)), be16(nameAlg), be32(a >>> 0), policy, be16(size));
  return sizedBytes(body);
};

// --- signatures, tickets

const signature: Make = (dice) => {
  const alg = dice.pick([0x14, 0x16, 0x18, 0x1a, 0x1c, 0x05, 0x10, 0x99]);
  if (alg === 0x10) return be16(alg);
  const head = concat(be16(alg), be16(hashAlg(dice)));
  if (alg === 5) return concat(head, dice.bytes(32));
  return alg < 0x18
    ? concat(head, ofSize([128, 256])(dice))
    : concat(head, ofSize([32])(dice), ofSize([32])(dice));
};
const ticket =
  (...tags: readonly number[]): Make =>
  (dice) =>
    concat(
      be16(dice.chance(94) ? dice.pick(tags) : dice.pick([0x8000, 0x8021, 0x8022, 0x1234])),
      be32(hierarchyOf(dice)),
      ofSize([0, 0, 32, 64])(dice),
    );

const digestValues: Make = (dice) => {
  const count = dice.pick([0, 1, 1, 1, 2, 4, 5]);
  const sizes: Record<number, number> = { 4: 20, 11: 32, 12: 48, 13: 64 };
  const items = Array.from({ length: count }, () => {
    const alg = hashAlg(dice);
    return concat(be16(alg), dice.bytes(sizes[alg] ?? 32));
  });
  return concat(be32(count), ...items);
};
const digests: Make = (dice) => {
  const count = dice.pick([0, 1, 2, 2, 3, 8, 9]);
  return concat(be32(count), ...Array.from({ length: count }, () => ofSize([32, 32, 20, 0])(dice)));
};

const point: Make = (dice) => sizedBytes(concat(ofSize([32, 0, 48])(dice), ofSize([32, 0])(dice)));
const COMMAND_CODES = [
  0x11f, 0x120, 0x12a, 0x137, 0x14e, 0x153, 0x157, 0x15d, 0x144, 0x17a, 0x19b, 0x1ff, 0x150,
];
const small = (dice: Dice): number => (dice.chance(85) ? dice.below(40) : dice.below(0x10000));
const u32: Make = (dice) =>
  be32(dice.chance(60) ? dice.pick(COMMAND_CODES) : dice.chance(60) ? small(dice) : dice.below(0x7fffffff));

const TABLE: readonly (readonly [Codec<never> | Codec<unknown>, Make])[] = [
  [Uint8, (dice) => Uint8Array.of(dice.chance(50) ? dice.below(32) : dice.below(256))],
  [Uint16, (dice) => be16(small(dice))],
  [Uint32, u32],
  [Uint64, (dice) => be64(BigInt(dice.below(1 << 30)) * BigInt(dice.pick([1, 1, 1 << 20])))],
  [S.TpmiYesNo, yesNo],
  [S.TpmiAlgHash, (dice) => be16(hashAlg(dice))],
  [S.TpmiAlgHashNull, (dice) => be16(dice.chance(25) ? 0x10 : hashAlg(dice))],
  [S.TpmSu, u16Of(0, 1, 0)],
  [S.TpmSe, (dice) => Uint8Array.of(dice.pick([0, 0, 1, 1, 3, 2, 4]))],
  [S.TpmiAlgCipherModeNull, u16Of(0x10, 0x43, 0x40, 0x41, 0x42, 0x44, 0x3f)],
  [
    S.Tpm2bDigest,
    (dice) => (dice.chance(40) ? sizedBytes(authValue(dice)) : ofSize([0, 32, 32, 32, 20, 48, 64, 65])(dice)),
  ],
  [S.Tpm2bData, ofSize([0, 0, 16, 32, 66, 67])],
  [S.Tpm2bEvent, ofSize([0, 1, 64, 1024, 1025])],
  [S.Tpm2bMaxBuffer, ofSize([0, 16, 16, 32, 5, 1024, 1025, 3])],
  [S.Tpm2bMaxNvBuffer, ofSize([0, 1, 8, 8, 32, 1024, 1025])],
  [S.Tpm2bName, ofSize([34, 34, 0, 4, 66, 67])],
  [S.Tpm2bIv, ofSize([0, 16, 16, 8, 17])],
  [S.Tpm2bTimeout, ofSize([8, 0, 9, 10])],
  [S.Tpm2bEncryptedSecret, ofSize([0, 0, 128, 256, 68])],
  [S.Tpm2bSensitiveData, ofSize([0, 8, 128, 129, 300])],
  [S.Tpm2bPublicKeyRsa, ofSize([0, 16, 128, 256, 128])],
  [S.Tpm2bEccParameter, ofSize([0, 32, 67])],
  [S.TpmlDigestValues, digestValues],
  [S.TpmlDigest, digests],
  [S.TpmlDigestOr, digests],
  [S.TpmlCc, (dice) => concat(be32(2), u32(dice), u32(dice))],
  [S.TpmlAlg, (dice) => concat(be32(2), be16(hashAlg(dice)), be16(small(dice)))],
  [S.TpmlPcrSelection, pcrSelections],
  [S.TpmtSymDef, symSession],
  [S.TpmtSymDefObject, symObject],
  [S.TpmiRhHierarchy, (dice) => be32(hierarchyOf(dice))],
  [S.TpmiRhEnables, (dice) => be32(dice.chance(15) ? 0x4000000d : hierarchyOf(dice))],
  [S.TpmiDhPcr, (dice) => be32(dice.below(26))],
  [
    S.TpmiDhPersistent,
    (dice) => be32(dice.pick([0x81000001, 0x81000002, 0x81800001, 0x82000000, 0x81ffffff])),
  ],
  [O.TpmtSigScheme, sigScheme],
  [O.TpmtRsaDecrypt, rsaDecryptScheme],
  [O.TpmiEccCurve, (dice) => be16(dice.pick(CURVES))],
  [O.Tpm2bEccPoint, point],
  [O.Tpm2bPublic, (dice) => sizedBytes(template(dice))],
  [O.Tpm2bTemplate, (dice) => sizedBytes(template(dice))],
  [O.TpmtPublicParms, publicParms],
  [O.Tpm2bSensitiveCreate, sensitiveCreate],
  [O.Tpm2bPrivate, ofSize([0, 100, 134])],
  [O.Tpm2bIdObject, ofSize([0, 68, 134, 200])],
  [A.Tpm2bNvPublic, nvPublic],
  [A.TpmtSignature, signature],
  [A.TpmtTkCreation, ticket(0x8021)],
  [A.TpmtTkVerified, ticket(0x8022)],
  [A.TpmtTkAuth, ticket(0x8023, 0x8025)],
  [A.TpmtTkHashcheck, ticket(0x8024, 0x8024)],
];
const BY_CODEC = new Map<unknown, Make>(TABLE);

/** Octets of a parameter; types without an entry of their own are numbers or lists read from nothing. */
export function parameter(dice: Dice, codec: Codec<unknown>): Uint8Array {
  const make = BY_CODEC.get(codec);
  return make === undefined ? be16(dice.pick([0, 1, 0x19, 0x18, 6, 0xb])) : make(dice);
}

export function known(codec: Codec<unknown>): boolean {
  return BY_CODEC.has(codec);
}
