// Part 3, 18.8: TPM2_CertifyX509. The TPM completes a partial certificate with what it alone can vouch for
// and signs it.

import { concat, EMPTY } from '../../base/bytes.ts';
import { bytesToBigint } from '../../crypto/bigint.ts';
import { der, derInteger } from '../../crypto/der.ts';
import { crypto } from '../../crypto/provider.ts';
import { hashName } from '../algorithms.ts';
import { admin, command, user } from '../command.ts';
import * as c from '../constants.ts';
import { keyAt } from '../entity.ts';
import * as rc from '../rc.ts';
import { isSigningObject, selectSignScheme, signDigest } from '../sign.ts';
import { Tpm2bData, Tpm2bDigest, Tpm2bMaxBuffer, TpmiDhObject, TpmiDhObjectNull } from '../structures.ts';
import { TpmtSignatureNull } from '../structures-attest.ts';
import { TpmtSigScheme } from '../structures-object.ts';
import { checkExtensions, readPartial, signatureAlgorithm, subjectPublicKey, VERSION_3 } from '../x509.ts';

const SEQUENCE = 0x30;
const EXTENSIONS = 0xa3;
const SERIAL_SIZE = 20;

/** @tcg Part 3, 18.8 TPM2_CertifyX509 */
export const certifyX509 = command({
  code: 0x197,
  name: 'CertifyX509',
  handles: { objectHandle: admin(TpmiDhObject), signHandle: user(TpmiDhObjectNull) },
  parameters: { reserved: Tpm2bData, inScheme: TpmtSigScheme, partialCertificate: Tpm2bMaxBuffer },
  response: { addedToCertificate: Tpm2bMaxBuffer, tbsDigest: Tpm2bDigest, signature: TpmtSignatureNull },
  // The reference numbers the two handles the other way round when it blames one.
  run(tpm, { objectHandle, signHandle, reserved, inScheme, partialCertificate }) {
    if (reserved.length !== 0) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const signKey = keyAt(tpm, signHandle);
    const missing = signKey === undefined && signHandle !== c.TPM_RH_NULL;
    if (missing || !isSigningObject(signKey)) return rc.rcHandle(1, rc.TPM_RC_KEY);
    const scheme = selectSignScheme(signKey, inScheme);
    if (scheme === null) return rc.rcParameter(2, rc.TPM_RC_SCHEME);
    const object = keyAt(tpm, objectHandle);
    const publicKey = object === undefined ? null : subjectPublicKey(object.public);
    if (object === undefined || publicKey === null) return rc.rcHandle(2, rc.TPM_RC_ASYMMETRIC);
    const partial = readPartial(partialCertificate);
    if (typeof partial === 'number') return rc.rcParameter(3, partial);
    const algorithm = partial.signature ?? signatureAlgorithm(scheme);
    if (algorithm === null) return rc.rcHandle(1, rc.TPM_RC_SCHEME);
    const refused = checkExtensions(object.public, partial.extensions);
    if (refused === rc.TPM_RC_ATTRIBUTES) return rc.rcHandle(2, refused);
    if (refused !== 0) return rc.rcParameter(3, refused);

    const { issuer, validity, subject } = partial;
    const rest = concat(algorithm, issuer, validity, subject, publicKey, der(EXTENSIONS, partial.extensions));
    const names = concat(rest, signKey?.name ?? EMPTY, object.name);
    const digest = crypto().hash(hashName(signKey?.public.nameAlg ?? object.public.nameAlg), names);
    const serial = derInteger(bytesToBigint(digest.subarray(0, SERIAL_SIZE)));
    const own = partial.signature === null ? algorithm : new Uint8Array(0);
    const tbs = der(SEQUENCE, VERSION_3, serial, rest);
    const unsigned = scheme.scheme === c.TPM_ALG_NULL;
    const tbsDigest = unsigned ? EMPTY : crypto().hash(hashName(scheme.hashAlg), tbs);
    const signature = signDigest(tpm, signKey, scheme, tbsDigest);
    if (typeof signature === 'number') return signature;
    return { addedToCertificate: der(SEQUENCE, VERSION_3, serial, own, publicKey), tbsDigest, signature };
  },
});
