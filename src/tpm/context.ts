// Saved contexts: an object or session as an encrypted blob under the proof of its hierarchy. The data of a
// sequence stays in the TPM (it can be longer than any blob) and the blob carries its number; that is no
// difference the outside can see.

import { concat, equalBytes, fromUtf8, utf8 } from '../base/bytes.ts';
import { Writer } from '../base/codec.ts';
import { decodeState, encodeState, type Json } from '../base/json.ts';
import { kdfA } from '../crypto/kdf.ts';
import { crypto, digestSize } from '../crypto/provider.ts';
import type { TpmCursor } from './cursor.ts';
import { be32, be64, sizedBytes, Unmarshaller } from './marshal.ts';
import * as rc from './rc.ts';
import type { Session, TpmObject } from './state.ts';
import { Tpm2bDigest, Tpm2bName } from './structures.ts';
import type { TpmsContext } from './structures-attest.ts';
import { Tpm2bPublicNull, Tpm2bSensitive } from './structures-object.ts';
import { INTEGRITY_HASH, proofOf } from './tickets.ts';

type Head = Pick<TpmsContext, 'sequence' | 'savedHandle' | 'hierarchy'>;

function protection(tpm: TpmCursor, head: Head): { readonly key: Uint8Array; readonly iv: Uint8Array } {
  const proof = proofOf(tpm, head.hierarchy);
  const bits = kdfA(INTEGRITY_HASH, proof, 'CONTEXT', be64(head.sequence), be32(head.savedHandle), 384);
  return { key: bits.subarray(0, 32), iv: bits.subarray(32) };
}

/** The HMAC also covers what makes old contexts void: TPM Resets, and Startup(CLEAR) for stClear objects. */
function integrity(tpm: TpmCursor, head: Head, secret: Uint8Array): Uint8Array {
  const { nv, reset } = tpm.state;
  const clears = head.savedHandle === 0x80000002 ? be32(reset.clearCount) : new Uint8Array(0);
  const data = concat(be64(nv.totalResetCount), clears, be64(head.sequence), be32(head.savedHandle), secret);
  return crypto().hmac(INTEGRITY_HASH, proofOf(tpm, head.hierarchy), data);
}

/** @tcg Part 1, 30.3 Context Protections */
export function sealContext(tpm: TpmCursor, head: Head, data: Uint8Array): Uint8Array {
  const { key, iv } = protection(tpm, head);
  const secret = crypto().aesCfb('encrypt', key, iv, concat(be64(head.sequence), data));
  return concat(sizedBytes(integrity(tpm, head, secret)), secret);
}

/** The data of a context, or a response code. */
export function openContext(tpm: TpmCursor, context: TpmsContext): Uint8Array | number {
  const r = new Unmarshaller(context.contextBlob);
  const mac = Tpm2bDigest.read(r);
  if (r.rc !== 0) return r.rc;
  if (mac.length !== digestSize(INTEGRITY_HASH) || r.remaining < 8) return rc.rcParameter(1, rc.TPM_RC_SIZE);
  const secret = r.rest();
  if (!equalBytes(mac, integrity(tpm, context, secret))) return rc.rcParameter(1, rc.TPM_RC_INTEGRITY);
  const { key, iv } = protection(tpm, context);
  return crypto().aesCfb('decrypt', key, iv, secret).subarray(8);
}

export function encodeObject(object: TpmObject): Uint8Array {
  const w = new Writer('be');
  Tpm2bPublicNull.write(w, object.public);
  Tpm2bSensitive.write(w, object.sensitive);
  Tpm2bName.write(w, object.name);
  Tpm2bName.write(w, object.qualifiedName);
  const flags =
    (object.primary ? 1 : 0) |
    (object.external ? 2 : 0) |
    (object.stClear ? 4 : 0) |
    (object.derived ? 8 : 0);
  return w.u32(object.hierarchy).u8(flags).finish();
}

export function decodeObject(bytes: Uint8Array): TpmObject {
  const r = new Unmarshaller(bytes);
  const head = {
    public: Tpm2bPublicNull.read(r),
    sensitive: Tpm2bSensitive.read(r),
    name: Tpm2bName.read(r),
    qualifiedName: Tpm2bName.read(r),
    hierarchy: r.u32(),
  };
  const flags = r.u8();
  return {
    kind: 'object',
    ...head,
    primary: (flags & 1) !== 0,
    external: (flags & 2) !== 0,
    stClear: (flags & 4) !== 0,
    derived: (flags & 8) !== 0,
    evict: null,
  };
}

export function encodeSession(session: Session): Uint8Array {
  return utf8(JSON.stringify(encodeState(session)));
}

export function decodeSession(bytes: Uint8Array): Session {
  return decodeState(JSON.parse(fromUtf8(bytes)) as Json) as Session;
}
