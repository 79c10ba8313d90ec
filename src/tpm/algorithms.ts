// Which algorithms this TPM implements and what each one is: the TPM's numbers on one side, the crypto room's
// names on the other. TDES, Camellia, SM3 and SM4 of the TCG registry are left out.

import { assert } from '../base/assert.ts';
import { digestSize, type HashName, type TpmCurveName } from '../crypto/provider.ts';
import * as c from './constants.ts';

const HASH_NAMES: ReadonlyMap<number, HashName> = new Map([
  [c.TPM_ALG_SHA1, 'sha1'],
  [c.TPM_ALG_SHA256, 'sha256'],
  [c.TPM_ALG_SHA384, 'sha384'],
  [c.TPM_ALG_SHA512, 'sha512'],
]);

/** Implemented hash algorithms, in the order of their numbers. */
export const HASH_ALGS: readonly number[] = [...HASH_NAMES.keys()];

export function isHashAlg(alg: number): boolean {
  return HASH_NAMES.has(alg);
}

/** The kernel's name of an implemented hash algorithm. */
export function hashName(alg: number): HashName {
  const name = HASH_NAMES.get(alg);
  assert(name !== undefined, `hash algorithm ${alg} is not implemented`);
  return name;
}

/** The TPM's number for a hash name; undefined when the TPM does not implement it. */
export function hashAlgOf(name: HashName): number | undefined {
  for (const [alg, n] of HASH_NAMES) if (n === name) return alg;
  return undefined;
}

export function hashSize(alg: number): number {
  return digestSize(hashName(alg));
}

interface Curve {
  readonly name: TpmCurveName;
  /** Octets of a coordinate. */
  readonly size: number;
  readonly bits: number;
}

const CURVES: ReadonlyMap<number, Curve> = new Map<number, Curve>([
  [c.TPM_ECC_NIST_P192, { name: 'P-192', size: 24, bits: 192 }],
  [c.TPM_ECC_NIST_P224, { name: 'P-224', size: 28, bits: 224 }],
  [c.TPM_ECC_NIST_P256, { name: 'P-256', size: 32, bits: 256 }],
  [c.TPM_ECC_NIST_P384, { name: 'P-384', size: 48, bits: 384 }],
  [c.TPM_ECC_NIST_P521, { name: 'P-521', size: 66, bits: 521 }],
  [c.TPM_ECC_BN_P256, { name: 'BN-256', size: 32, bits: 256 }],
  [c.TPM_ECC_BN_P638, { name: 'BN-638', size: 80, bits: 638 }],
  [c.TPM_ECC_SM2_P256, { name: 'SM2', size: 32, bits: 256 }],
]);

export const CURVE_IDS: readonly number[] = [...CURVES.keys()];

export function isCurve(id: number): boolean {
  return CURVES.has(id);
}

export function curveOf(id: number): Curve {
  const curve = CURVES.get(id);
  assert(curve !== undefined, `curve ${id} is not implemented`);
  return curve;
}

// TPMA_ALGORITHM bits
const ASYMMETRIC = 0x001;
const SYMMETRIC = 0x002;
const HASH = 0x004;
const OBJECT = 0x008;
const SIGNING = 0x100;
const ENCRYPTING = 0x200;
const METHOD = 0x400;

/**
 * TPM_CAP_ALGS: number and TPMA_ALGORITHM, ascending.
 * @tcg Part 2, 8.2 TPMA_ALGORITHM
 */
export const ALGORITHM_PROPERTIES: readonly (readonly [number, number])[] = [
  [c.TPM_ALG_RSA, ASYMMETRIC | OBJECT],
  [c.TPM_ALG_SHA1, HASH],
  [c.TPM_ALG_HMAC, HASH | SIGNING],
  [c.TPM_ALG_AES, SYMMETRIC],
  [c.TPM_ALG_MGF1, HASH | METHOD],
  [c.TPM_ALG_KEYEDHASH, HASH | OBJECT | SIGNING | ENCRYPTING],
  [c.TPM_ALG_XOR, HASH | SYMMETRIC],
  [c.TPM_ALG_SHA256, HASH],
  [c.TPM_ALG_SHA384, HASH],
  [c.TPM_ALG_SHA512, HASH],
  [c.TPM_ALG_RSASSA, ASYMMETRIC | SIGNING],
  [c.TPM_ALG_RSAES, ASYMMETRIC | ENCRYPTING],
  [c.TPM_ALG_RSAPSS, ASYMMETRIC | SIGNING],
  [c.TPM_ALG_OAEP, ASYMMETRIC | ENCRYPTING],
  [c.TPM_ALG_ECDSA, ASYMMETRIC | SIGNING],
  [c.TPM_ALG_ECDH, ASYMMETRIC | METHOD],
  [c.TPM_ALG_ECDAA, ASYMMETRIC | SIGNING],
  [c.TPM_ALG_SM2, ASYMMETRIC | SIGNING | METHOD],
  [c.TPM_ALG_ECSCHNORR, ASYMMETRIC | SIGNING],
  [c.TPM_ALG_ECMQV, ASYMMETRIC | METHOD],
  [c.TPM_ALG_KDF1_SP800_56A, HASH | METHOD],
  [c.TPM_ALG_KDF2, HASH | METHOD],
  [c.TPM_ALG_KDF1_SP800_108, HASH | METHOD],
  [c.TPM_ALG_ECC, ASYMMETRIC | OBJECT],
  [c.TPM_ALG_SYMCIPHER, OBJECT],
  [c.TPM_ALG_CMAC, SYMMETRIC | SIGNING],
  [c.TPM_ALG_CTR, SYMMETRIC | ENCRYPTING],
  [c.TPM_ALG_OFB, SYMMETRIC | ENCRYPTING],
  [c.TPM_ALG_CBC, SYMMETRIC | ENCRYPTING],
  [c.TPM_ALG_CFB, SYMMETRIC | ENCRYPTING],
  [c.TPM_ALG_ECB, SYMMETRIC | ENCRYPTING],
];
