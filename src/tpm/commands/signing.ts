// Part 3, chapter 20: signing and verifying.

import { equalBytes } from '../../base/bytes.ts';
import { hashSize } from '../algorithms.ts';
import { command, reference, user } from '../command.ts';
import * as c from '../constants.ts';
import { keyAt } from '../entity.ts';
import * as rc from '../rc.ts';
import { isSigningObject, selectSignScheme, signDigest, verifyDigest } from '../sign.ts';
import { Tpm2bDigest, TpmiDhObject } from '../structures.ts';
import { TpmtSignature, TpmtSignatureNull, TpmtTkHashcheck, TpmtTkVerified } from '../structures-attest.ts';
import { TpmtSigScheme } from '../structures-object.ts';
import { hashcheckTicket, nullTicket, verifiedTicket } from '../tickets.ts';

/** @tcg Part 3, 20.1 TPM2_VerifySignature */
export const verifySignature = command({
  code: 0x177,
  name: 'VerifySignature',
  handles: { keyHandle: reference(TpmiDhObject) },
  parameters: { digest: Tpm2bDigest, signature: TpmtSignature },
  response: { validation: TpmtTkVerified },
  run(tpm, { keyHandle, digest, signature }) {
    const key = keyAt(tpm, keyHandle);
    const signs = ((key?.public.objectAttributes ?? 0) & c.TPMA_OBJECT_SIGN_ENCRYPT) !== 0;
    if (key === undefined || !signs) return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
    const refused = verifyDigest(key, digest, signature);
    if (refused !== 0) return rc.rcParameter(2, refused);
    const anonymous = key.hierarchy === c.TPM_RH_NULL || key.public.nameAlg === c.TPM_ALG_NULL;
    const validation = anonymous
      ? nullTicket(c.TPM_ST_VERIFIED)
      : verifiedTicket(tpm, key.hierarchy, digest, key.name);
    return { validation };
  },
});

/** @tcg Part 3, 20.2 TPM2_Sign */
export const sign = command({
  code: 0x15d,
  name: 'Sign',
  handles: { keyHandle: user(TpmiDhObject) },
  parameters: { digest: Tpm2bDigest, inScheme: TpmtSigScheme, validation: TpmtTkHashcheck },
  response: { signature: TpmtSignatureNull },
  run(tpm, { keyHandle, digest, inScheme, validation }) {
    const key = keyAt(tpm, keyHandle);
    if (key === undefined || !isSigningObject(key)) return rc.rcHandle(1, rc.TPM_RC_KEY);
    const attributes = key.public.objectAttributes;
    if ((attributes & c.TPMA_OBJECT_X509SIGN) !== 0) return rc.rcHandle(1, rc.TPM_RC_ATTRIBUTES);
    const scheme = selectSignScheme(key, inScheme);
    if (scheme === null) return rc.rcParameter(2, rc.TPM_RC_SCHEME);
    if (validation.digest.length !== 0 || (attributes & c.TPMA_OBJECT_RESTRICTED) !== 0) {
      const ticket = hashcheckTicket(tpm, validation.hierarchy, scheme.hashAlg, digest);
      if (!equalBytes(ticket.digest, validation.digest)) return rc.rcParameter(3, rc.TPM_RC_TICKET);
    } else if (digest.length !== hashSize(scheme.hashAlg)) return rc.rcParameter(1, rc.TPM_RC_SIZE);
    const signature = signDigest(tpm, key, scheme, digest);
    return typeof signature === 'number' ? signature : { signature };
  },
});
