// DATA forms of a scenario to bytes: text, hex, base64, repetition, files beside the scenario, contents known by their
// digests. The loader resolves every form before the first step runs, so a missing file is a mistake with a place.

import { concat, EMPTY, fromHex, toHex, utf8 } from '../base/bytes.ts';
import { fromBase64 } from '../crypto/pem.ts';
import { fileContentHash, hashAlgo } from '../integrity/hash-info.ts';
import { IMA_XATTR_DIGEST, IMA_XATTR_DIGEST_NG } from '../integrity/xattr.ts';
import type { Content } from '../vfs/types.ts';
import type { Data } from './ops/types.ts';
import type { DataForm, PlainForm } from './schema-data.ts';

export type Resolved<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string };

/** Reads a file beside the scenario; undefined when it is not there. */
export type ReadFile = (path: string) => Uint8Array | undefined;

/** Hexadecimal text as people write it: white space and colons between the bytes. */
export function looseHex(text: string): Uint8Array {
  return fromHex(text.replace(/[\s:]/g, ''));
}

const bytesContent = (bytes: Uint8Array): Resolved<Content> => ({
  ok: true,
  value: { kind: 'bytes', bytes },
});
const mistake = (message: string): { readonly ok: false; readonly message: string } => ({
  ok: false,
  message,
});

function resolvePlain(form: PlainForm, readFile: ReadFile): Resolved<Content> {
  if (typeof form === 'string') return bytesContent(utf8(form));
  if ('text' in form) return bytesContent(utf8(form.text));
  if ('hex' in form) return bytesContent(looseHex(form.hex));
  if ('repeat' in form) return bytesContent(utf8(form.repeat.repeat(form.n)));
  if ('base64' in form) {
    const bytes = fromBase64(form.base64);
    return bytes === undefined ? mistake('this is no base64 text') : bytesContent(bytes);
  }
  if ('file' in form) {
    const bytes = readFile(form.file);
    return bytes === undefined ? mistake(`cannot read the file \`${form.file}\``) : bytesContent(bytes);
  }
  const digests = Object.entries(form.digests).map(([alg, hex]) => [alg, toHex(looseHex(hex))] as const);
  const value: Content = {
    kind: 'opaque',
    label: form.opaque,
    length: form.len,
    digests: Object.fromEntries(digests),
  };
  return { ok: true, value };
}

/** The content that a form stands for; `own` is the content of the file that an attribute belongs to. */
export function resolveContent(
  form: DataForm | undefined,
  readFile: ReadFile,
  own: Content | null = null,
): Resolved<Content> {
  if (form === undefined) return bytesContent(EMPTY);
  if (typeof form === 'string' || !('ima_hash' in form || 'ima_digest' in form))
    return resolvePlain(form, readFile);
  if (form.of === undefined && own === null) return mistake('say of which content: `of: ...`');
  const of = form.of === undefined ? own : resolvePlain(form.of, readFile);
  if (of === null) return mistake('say of which content: `of: ...`');
  if ('ok' in of && !of.ok) return of;
  const content = 'ok' in of ? of.value : of;
  const alg = 'ima_hash' in form ? form.ima_hash : form.ima_digest;
  const digest = fileContentHash(alg, content);
  if (digest === null) return mistake(`the content has no known ${alg} digest`);
  const head = 'ima_hash' in form ? [IMA_XATTR_DIGEST_NG, hashAlgo(alg)] : [IMA_XATTR_DIGEST];
  return bytesContent(concat(Uint8Array.from(head), digest));
}

/** The form that operations take; bytes that came from a file or from base64 become hex. */
export function operationData(form: DataForm, content: Content): Data {
  if (typeof form === 'string') return form;
  if ('text' in form) return { text: form.text };
  if ('repeat' in form) return { repeat: form.repeat, n: form.n };
  if (content.kind === 'bytes') return { hex: toHex(content.bytes) };
  return { opaque: content.label, len: content.length, digests: { ...content.digests } };
}
