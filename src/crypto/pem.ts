// PEM (RFC 7468): labelled base64 blocks in text.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const LINE = 64;

export interface PemBlock {
  /** `CERTIFICATE`, `PUBLIC KEY`, ... */
  readonly label: string;
  readonly bytes: Uint8Array;
}

/** Base64 with padding. */
export function toBase64(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const group = ((bytes[i] as number) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    const digits = Math.min(4, bytes.length - i + 1);
    for (let j = 0; j < 4; j++) out += j < digits ? ALPHABET[(group >> (18 - 6 * j)) & 63] : '=';
  }
  return out;
}

/** Bytes of base64 text, white space ignored; undefined for anything else in it. */
export function fromBase64(text: string): Uint8Array | undefined {
  const digits = text.replace(/\s/g, '');
  const body = digits.replace(/={1,2}$/, '');
  if (digits.length % 4 !== 0 || body.length % 4 === 1) return undefined;
  const out = new Uint8Array(Math.floor((body.length * 3) / 4));
  let group = 0;
  for (let i = 0, at = 0; i < body.length; i++) {
    const value = ALPHABET.indexOf(body[i] as string);
    if (value < 0) return undefined;
    group = ((group << 6) | value) & 0xffffff;
    if (i % 4 !== 0) out[at++] = (group >> (6 - 2 * (i % 4))) & 255;
  }
  return out;
}

/** One block with its two lines around it, closed by a newline. */
export function pemEncode(label: string, bytes: Uint8Array): string {
  const lines = toBase64(bytes).match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/** All well-formed blocks of a text in order; headers inside a block (encrypted keys) make it malformed. */
export function pemDecode(text: string): readonly PemBlock[] {
  const blocks: PemBlock[] = [];
  for (const match of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g)) {
    const bytes = fromBase64(match[2] as string);
    if (bytes !== undefined) blocks.push({ label: match[1] as string, bytes });
  }
  return blocks;
}
