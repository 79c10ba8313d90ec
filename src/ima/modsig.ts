// Module-style appended signatures: `data || PKCS#7 || struct module_signature || marker`. Parsing and
// verifying the PKCS#7 message is the keyrings' work.

import { equalBytes, latin1 } from '../base/bytes.ts';
import { enabled } from '../base/profile.ts';
import type { ImaCursor } from './cursor.ts';
import type { Modsig } from './template-lib.ts';

const MODULE_SIG_STRING = latin1('~Module signature appended~\n');
/** sizeof(struct module_signature). */
const MODULE_SIGNATURE_SIZE = 12;
const PKEY_ID_PKCS7 = 2;

/**
 * Length of the signature, or -1 when the trailer is not acceptable.
 * @kernel kernel/module_signature.c mod_check_sig()
 */
function modCheckSig(trailer: Uint8Array, fileLength: number): number {
  const view = new DataView(trailer.buffer, trailer.byteOffset, trailer.byteLength);
  const sigLength = view.getUint32(8, false);
  if (sigLength >= fileLength - MODULE_SIGNATURE_SIZE) return -1;
  if (trailer[2] !== PKEY_ID_PKCS7) return -1;
  const others = [0, 1, 3, 4, 5, 6, 7];
  return others.every((i) => trailer[i] === 0) ? sigLength : -1;
}

/**
 * The appended signature of a buffer, or null.
 * @kernel security/integrity/ima/ima_modsig.c ima_read_modsig()
 */
export function readModsig(ima: ImaCursor, buf: Uint8Array | null): Modsig | null {
  if (buf === null || !enabled(ima.env.profile, 'CONFIG_IMA_APPRAISE_MODSIG')) return null;
  const marker = MODULE_SIG_STRING.length;
  if (buf.length <= marker + MODULE_SIGNATURE_SIZE) return null;
  if (!equalBytes(buf.subarray(buf.length - marker), MODULE_SIG_STRING)) return null;
  const end = buf.length - marker;
  const trailer = buf.subarray(end - MODULE_SIGNATURE_SIZE, end);
  const sigLength = modCheckSig(trailer, end);
  if (sigLength < 0) return null;
  const dataLength = end - MODULE_SIGNATURE_SIZE - sigLength;
  const raw = buf.slice(dataLength, dataLength + sigLength);
  if (ima.env.keys.pkcs7Parse(raw) !== 0) return null;
  const data = buf.subarray(0, dataLength);
  const digest = ima.env.keys.pkcs7Digest(raw, data);
  return { raw, data, digest: digest.ok ? digest.value : null };
}
