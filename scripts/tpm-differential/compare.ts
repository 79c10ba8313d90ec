// What of two answers must be equal: the response code always, parameters octet by octet except the fields
// that hold random numbers, key material or time, which are compared by size.

import { toHex } from '../../src/base/bytes.ts';
import type { Command } from '../../src/tpm/command.ts';
import { Unmarshaller } from '../../src/tpm/marshal.ts';
import { describeRc } from '../../src/tpm/rc.ts';
import { TpmsAttest } from '../../src/tpm/structures-attest.ts';
import { responseCodeOf } from '../../src/tpm/tpm.ts';

/** Fields of random octets, of secrets and of what is made of them. */
const BY_SIZE: ReadonlySet<string> = new Set([
  ...[
    'nonceTPM',
    'randomBytes',
    'outPrivate',
    'creationHash',
    'creationTicket',
    'validation',
    'policyTicket',
  ],
  ...['signature', 'secret', 'credentialBlob', 'duplicate', 'outSymSeed', 'encryptionKeyOut'],
  ...['Q', 'K', 'L', 'E', 'zPoint', 'pubPoint', 'outZ1', 'outZ2', 'addedToCertificate', 'tbsDigest'],
]);
/** Fields that hold time. */
const IGNORED: ReadonlySet<string> = new Set(['currentTime', 'timeout']);
const ATTESTS: ReadonlySet<string> = new Set(['certifyInfo', 'quoted', 'auditInfo', 'timeInfo']);
const MAKES_KEYS: ReadonlySet<string> = new Set(['Create', 'CreatePrimary', 'CreateLoaded']);
const RANDOMIZED: ReadonlySet<string> = new Set(['RSA_Encrypt']);

/**
 * Values of GetCapability that legitimately differ: revision and date of the specification, manufacturer, vendor strings, firmware version, sizes of
 * saved contexts, and what depends on the size of NV.
 */
const VENDOR_PROPERTIES: ReadonlySet<number> = new Set([
  ...[
    0x102, 0x103, 0x104, 0x125, 0x126, 0x127, 0x105, 0x106, 0x107, 0x108, 0x109, 0x10b, 0x10c, 0x121, 0x122,
    0x209, 0x20b,
  ],
]);

/** TDES and Camellia: swtpm has them, kisim does not. */
const OTHER_CIPHERS: ReadonlySet<number> = new Set([0x03, 0x26]);

const bySize = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return `[${value.length} octets]`;
  if (Array.isArray(value)) return value.map(bySize);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, bySize(v)]));
  }
  return typeof value === 'bigint' ? '[u64]' : value;
};

const exactly = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(exactly);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, exactly(v)]));
  }
  return typeof value === 'bigint' ? value.toString() : value;
};

function attested(octets: Uint8Array, exact: boolean): unknown {
  const a = TpmsAttest.read(new Unmarshaller(octets));
  return {
    magic: a.magic,
    signer: bySize(a.qualifiedSigner),
    extraData: toHex(a.extraData),
    attested: exact && a.attested.type !== 0x8019 ? exactly(a.attested) : bySize(a.attested),
  };
}

const withoutVendor = (value: unknown): unknown => {
  const data = value as { readonly capability: number; readonly data: readonly { property?: number }[] };
  if (data.capability === 0) {
    const algs = data.data as readonly { readonly alg?: number }[];
    return algs.filter((a) => !OTHER_CIPHERS.has(a.alg ?? 0)).map(exactly);
  }
  if (data.capability !== 6) return exactly(value);
  return data.data.filter((p) => !VENDOR_PROPERTIES.has(p.property ?? 0));
};

/** The comparable form of an answer; `exact` when nothing random went into the command. */
export function comparable(d: Command | undefined, response: Uint8Array, exact: boolean): unknown {
  const rc = responseCodeOf(response);
  if (rc !== 0) return { rc: `0x${rc.toString(16)} ${describeRc(rc)}`, length: response.length };
  if (d === undefined) return { rc: 0, response: toHex(response) };
  const r = new Unmarshaller(response);
  const tag = r.u16();
  r.take(8);
  const out: Record<string, unknown> = { rc: 0, tag };
  if (d.responseHandle) out.handle = r.u32().toString(16);
  const size = tag === 0x8002 ? r.u32() : r.remaining;
  const body = new Unmarshaller(r.take(size));
  for (const [name, codec] of d.response) {
    const value = codec.read(body);
    if (body.rc !== 0) return { ...out, unreadable: name, octets: bySize(response) };
    if (IGNORED.has(name)) continue;
    if (name === 'context') out[name] = { ...(exactly(value) as object), contextBlob: 'own form' };
    else if (ATTESTS.has(name)) out[name] = attested(value as Uint8Array, exact);
    else if (name === 'capabilityData') out[name] = withoutVendor(value);
    else {
      const sized = BY_SIZE.has(name) || MAKES_KEYS.has(d.name) || RANDOMIZED.has(d.name) || !exact;
      out[name] = sized ? bySize(value) : exactly(value);
    }
  }
  out.left = body.remaining;
  if (tag === 0x8002) out.sessions = sessionsOf(r.rest());
  return out;
}

/** Sizes and attributes of the response sessions. */
function sessionsOf(octets: Uint8Array): readonly string[] {
  const r = new Unmarshaller(octets);
  const out: string[] = [];
  while (r.remaining > 0 && !r.failed) {
    const nonce = r.take(r.u16()).length;
    const attributes = r.u8();
    out.push(`nonce ${nonce} attributes ${attributes} hmac ${r.take(r.u16()).length}`);
  }
  return out;
}
