// Part 3, chapter 13: moving objects to other parents.

import { EMPTY } from '../../base/bytes.ts';
import { hashSize } from '../algorithms.ts';
import { secretDecrypt, secretEncrypt } from '../asymmetric.ts';
import { command, dup, reference, user } from '../command.ts';
import * as c from '../constants.ts';
import { keyAt } from '../entity.ts';
import { isAsymmetric, isParent, isStorage, publicName } from '../object.ts';
import {
  duplicateToSensitive,
  outerWrap,
  sensitiveToDuplicate,
  sensitiveToPrivate,
  unwrapOuter,
} from '../protection.ts';
import * as rc from '../rc.ts';
import type { TpmObject } from '../state.ts';
import {
  Tpm2bData,
  Tpm2bEncryptedSecret,
  Tpm2bName,
  TpmiDhObject,
  TpmiDhObjectNull,
  type TpmtSymDef,
  TpmtSymDefObject,
} from '../structures.ts';
import { Tpm2bPrivate, Tpm2bPublic } from '../structures-object.ts';
import { importChecks } from './object.ts';

const IV_SIZE = 16;
const MAX_PRIVATE = 1500;

/** The key of the inner wrap: given, made now, or none. */
function innerKeySize(symmetric: TpmtSymDef): number {
  return symmetric.algorithm === c.TPM_ALG_NULL ? 0 : symmetric.keyBits / 8;
}

/** A storage key that secrets can be exchanged with; undefined for TPM_RH_NULL. */
function exchangeKey(key: TpmObject | undefined): boolean {
  return key !== undefined && isStorage(key) && isAsymmetric(key.public);
}

/** @tcg Part 3, 13.1 TPM2_Duplicate */
export const duplicate = command({
  code: 0x14b,
  name: 'Duplicate',
  handles: { objectHandle: dup(TpmiDhObject), newParentHandle: reference(TpmiDhObjectNull) },
  parameters: { encryptionKeyIn: Tpm2bData, symmetricAlg: TpmtSymDefObject },
  response: {
    encryptionKeyOut: Tpm2bData,
    duplicate: Tpm2bPrivate,
    outSymSeed: Tpm2bEncryptedSecret,
  },
  run(tpm, { objectHandle, newParentHandle, encryptionKeyIn, symmetricAlg }) {
    const object = keyAt(tpm, objectHandle);
    const toNull = newParentHandle === c.TPM_RH_NULL;
    const parent = keyAt(tpm, newParentHandle);
    if (object === undefined || object.sensitive === null) return rc.rcHandle(1, rc.TPM_RC_TYPE);
    const attributes = object.public.objectAttributes;
    if ((attributes & c.TPMA_OBJECT_FIXEDPARENT) !== 0) return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
    const { nameAlg } = object.public;
    if (nameAlg === c.TPM_ALG_NULL) return rc.rcHandle(1, rc.TPM_RC_TYPE);
    if (!toNull && !exchangeKey(parent)) return rc.rcHandle(2, rc.TPM_RC_TYPE);
    const keySize = innerKeySize(symmetricAlg);
    if ((attributes & c.TPMA_OBJECT_ENCRYPTEDDUPLICATION) !== 0) {
      if (keySize === 0) return rc.rcParameter(2, rc.TPM_RC_SYMMETRIC);
      if (toNull) return rc.rcHandle(2, rc.TPM_RC_HIERARCHY);
    }
    const given = encryptionKeyIn.length;
    if (given !== 0 && given !== keySize) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const exchange =
      parent === undefined ? null : secretEncrypt(parent, 'DUPLICATE', (length) => tpm.random(length));
    if (typeof exchange === 'number') return exchange;
    const innerKey = given === 0 ? tpm.random(keySize) : encryptionKeyIn;
    const seed = exchange?.data ?? EMPTY;
    const target = parent?.public ?? null;
    const blob = sensitiveToDuplicate(
      target,
      seed,
      object.name,
      nameAlg,
      symmetricAlg,
      innerKey,
      object.sensitive,
    );
    return {
      encryptionKeyOut: given === 0 ? innerKey : EMPTY,
      duplicate: blob,
      outSymSeed: exchange?.secret ?? EMPTY,
    };
  },
});

/** @tcg Part 3, 13.2 TPM2_Rewrap */
export const rewrap = command({
  code: 0x152,
  name: 'Rewrap',
  handles: { oldParent: user(TpmiDhObjectNull), newParent: reference(TpmiDhObjectNull) },
  parameters: { inDuplicate: Tpm2bPrivate, name: Tpm2bName, inSymSeed: Tpm2bEncryptedSecret },
  response: { outDuplicate: Tpm2bPrivate, outSymSeed: Tpm2bEncryptedSecret },
  run(tpm, { oldParent, newParent, inDuplicate, name, inSymSeed }) {
    const from = keyAt(tpm, oldParent);
    const to = keyAt(tpm, newParent);
    if ((inSymSeed.length === 0) !== (oldParent === c.TPM_RH_NULL)) return rc.rcHandle(1, rc.TPM_RC_HANDLE);
    let plain = inDuplicate;
    if (oldParent !== c.TPM_RH_NULL) {
      if (from === undefined || !exchangeKey(from)) return rc.rcHandle(1, rc.TPM_RC_TYPE);
      const seed = secretDecrypt(from, 'DUPLICATE', inSymSeed);
      if (typeof seed === 'number') return rc.rcParameter(3, rc.TPM_RC_VALUE);
      const unwrapped = unwrapOuter(from.public, seed, name, false, inDuplicate);
      if (typeof unwrapped === 'number') return rc.rcParameter(1, unwrapped);
      plain = unwrapped;
    }
    if (newParent === c.TPM_RH_NULL) return { outDuplicate: plain, outSymSeed: EMPTY };
    if (to === undefined || !exchangeKey(to)) return rc.rcHandle(2, rc.TPM_RC_TYPE);
    const exchange = secretEncrypt(to, 'DUPLICATE', (length) => tpm.random(length));
    if (typeof exchange === 'number') return exchange;
    if (plain.length + 2 + hashSize(to.public.nameAlg) > MAX_PRIVATE) {
      return rc.rcParameter(1, rc.TPM_RC_VALUE);
    }
    const outDuplicate = outerWrap(to.public, exchange.data, name, null, plain);
    return { outDuplicate, outSymSeed: exchange.secret };
  },
});

/** @tcg Part 3, 13.3 TPM2_Import */
export const importObject = command({
  code: 0x156,
  name: 'Import',
  handles: { parentHandle: user(TpmiDhObject) },
  parameters: {
    encryptionKey: Tpm2bData,
    objectPublic: Tpm2bPublic,
    duplicate: Tpm2bPrivate,
    inSymSeed: Tpm2bEncryptedSecret,
    symmetricAlg: TpmtSymDefObject,
  },
  response: { outPrivate: Tpm2bPrivate },
  run(tpm, input) {
    const { objectPublic, symmetricAlg, inSymSeed } = input;
    const attributes = objectPublic.objectAttributes;
    if ((attributes & (c.TPMA_OBJECT_FIXEDTPM | c.TPMA_OBJECT_FIXEDPARENT)) !== 0) {
      return rc.rcParameter(2, rc.TPM_RC_ATTRIBUTES);
    }
    const parent = keyAt(tpm, input.parentHandle);
    if (parent === undefined || !isParent(parent)) return rc.rcHandle(1, rc.TPM_RC_TYPE);
    const keySize = innerKeySize(symmetricAlg);
    if (input.encryptionKey.length !== keySize) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const encrypted = (attributes & c.TPMA_OBJECT_ENCRYPTEDDUPLICATION) !== 0;
    if (keySize === 0 && encrypted) return rc.rcParameter(1, rc.TPM_RC_ATTRIBUTES);
    let seed: Uint8Array = EMPTY;
    if (inSymSeed.length !== 0) {
      if (parent.public.type === c.TPM_ALG_SYMCIPHER) return rc.rcHandle(1, rc.TPM_RC_TYPE);
      const found = secretDecrypt(parent, 'DUPLICATE', inSymSeed);
      if (typeof found === 'number') return rc.rcParameter(4, found);
      seed = found;
    } else if (encrypted) return rc.rcParameter(4, rc.TPM_RC_ATTRIBUTES);
    const name = publicName(objectPublic);
    const { nameAlg } = objectPublic;
    const sensitive = duplicateToSensitive(
      parent.public,
      seed,
      name,
      nameAlg,
      symmetricAlg,
      input.encryptionKey,
      input.duplicate,
    );
    if (typeof sensitive === 'number') return rc.rcParameter(3, sensitive);
    if ((parent.public.objectAttributes & c.TPMA_OBJECT_FIXEDTPM) !== 0) {
      const refused = importChecks(objectPublic, sensitive);
      if (refused !== 0) return refused;
    }
    return { outPrivate: sensitiveToPrivate(parent, name, nameAlg, sensitive, tpm.random(IV_SIZE)) };
  },
});
