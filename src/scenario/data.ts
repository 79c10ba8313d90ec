// DATA forms of a scenario to bytes: text, hex, base64, repetition, files beside the scenario, contents
// known by their digests, made programs and modules, hashes and signatures. The loader resolves every form
// before the first step runs, so a missing file or key is a mistake with a place.

import { concat, EMPTY, fromHex, toHex, utf8 } from '../base/bytes.ts';
import { type KernelProfile, PROFILES } from '../base/profile.ts';
import { fromBase64 } from '../crypto/pem.ts';
import type { HashName } from '../crypto/provider.ts';
import { fileContentHash, hashAlgo } from '../integrity/hash-info.ts';
import { appendModsig, imaVeritySign, type Made, signedXattr, signMessage } from '../integrity/sign.ts';
import { EVM_IMA_XATTR_DIGSIG, IMA_XATTR_DIGEST, IMA_XATTR_DIGEST_NG } from '../integrity/xattr.ts';
import { bzImage, kernelModule, program } from '../kernel/images.ts';
import { FS_VERITY_DEFAULT, fsVerityDigest, fsVerityFormattedDigest } from '../vfs/fsverity.ts';
import type { Content, Xattr } from '../vfs/types.ts';
import { type EvmFile, evmFileFor, evmValue, unknownFile } from './evm-values.ts';
import type { ScenarioKey, ScenarioKeys } from './keys.ts';
import type { Data } from './ops/types.ts';
import type { ContentForm, DataForm, EvmForm, FillingForm, LabelForm } from './schema-data.ts';

export interface Mistake {
  readonly ok: false;
  readonly message: string;
  /** Member of the form that is wrong, where it is one. */
  readonly member: string | null;
}

export type Resolved<T> = { readonly ok: true; readonly value: T } | Mistake;

/** Reads a file beside the scenario; undefined when it is not there. */
export type ReadFile = (path: string) => Uint8Array | undefined;

/** What forms refer to. */
export interface DataContext {
  readonly readFile: ReadFile;
  /** Keys of the scenario; null when they could not be made (their mistakes are reported elsewhere). */
  readonly keys: ScenarioKeys | null;
  /** Root hashes of the disks that have a dm-verity tree. */
  readonly roots: ReadonlyMap<string, Uint8Array>;
}

export const NO_CONTEXT: DataContext = { readFile: () => undefined, keys: new Map(), roots: new Map() };

/** Hexadecimal text as people write it: white space and colons between the bytes. */
export function looseHex(text: string): Uint8Array {
  return fromHex(text.replace(/[\s:]/g, ''));
}

const ofBytes = (bytes: Uint8Array): Resolved<Content> => ({ ok: true, value: { kind: 'bytes', bytes } });
const mistake = (message: string, member: string | null = null): Mistake => ({ ok: false, message, member });

const DEFAULT_RELEASE = '6.12.107';
/** Labels of steps are made for this kernel: which attributes count, and the word size. */
const DEFAULT_KERNEL = PROFILES['linux-6.12.107'] as KernelProfile;

function resolveMade(form: Exclude<ContentForm, string>): Uint8Array | undefined {
  if ('program' in form) {
    const { exit, interpreter } = form;
    const more = {
      ...(exit === undefined ? {} : { exit }),
      ...(interpreter === undefined ? {} : { interpreter }),
    };
    return program({ tail: form.program, ...more });
  }
  if ('module' in form) return kernelModule(form.module, form.release ?? DEFAULT_RELEASE);
  return 'kernel_image' in form ? bzImage(form.kernel_image) : undefined;
}

/** Forms that stand for a content by themselves. */
function resolvePlain(form: ContentForm, context: DataContext): Resolved<Content> {
  const { readFile } = context;
  if (typeof form === 'string') return ofBytes(utf8(form));
  if ('text' in form) return ofBytes(utf8(form.text));
  if ('hex' in form) return ofBytes(looseHex(form.hex));
  if ('repeat' in form) return ofBytes(utf8(form.repeat.repeat(form.n)));
  if ('base64' in form) {
    const bytes = fromBase64(form.base64);
    return bytes === undefined ? mistake('this is no base64 text') : ofBytes(bytes);
  }
  if ('file' in form) {
    const bytes = readFile(form.file);
    return bytes === undefined ? mistake(`cannot read the file \`${form.file}\``, 'file') : ofBytes(bytes);
  }
  if ('opaque' in form) {
    const digests = Object.entries(form.digests).map(([alg, hex]) => [alg, toHex(looseHex(hex))] as const);
    return {
      ok: true,
      value: { kind: 'opaque', label: form.opaque, length: form.len, digests: Object.fromEntries(digests) },
    };
  }
  if ('root_hash' in form) return hexOf(rootHash(form.root_hash, context));
  if ('fill' in form) return resolveFill(form, context);
  return ofBytes(resolveMade(form) ?? EMPTY);
}

function rootHash(disk: string, { roots }: DataContext): Resolved<Uint8Array> {
  const value = roots.get(disk);
  return value === undefined
    ? mistake(`no disk \`${disk}\` with \`verity\``, 'root_hash')
    : { ok: true, value };
}

const hexOf = (value: Resolved<Uint8Array>): Resolved<Content> =>
  value.ok ? ofBytes(utf8(toHex(value.value))) : value;

function resolveFilling(form: FillingForm, context: DataContext): Resolved<Uint8Array> {
  if ('root_hash' in form) return rootHash(form.root_hash, context);
  const content = resolvePlain(form.of, context);
  if (!content.ok) return content;
  if ('digest' in form) return digestOf(content.value, form.digest);
  if (content.value.kind !== 'bytes') return mistake('an fs-verity digest needs the bytes');
  const params = { ...FS_VERITY_DEFAULT, alg: form.fsverity_digest };
  return { ok: true, value: fsVerityDigest(content.value.bytes, params) };
}

function resolveFill(form: Extract<ContentForm, { fill: string }>, context: DataContext): Resolved<Content> {
  let text = form.fill;
  for (const [name, value] of Object.entries(form.with)) {
    const found = resolveFilling(value, context);
    if (!found.ok) return mistake(`${name}: ${found.message}`, 'with');
    text = text.replaceAll(`\${${name}}`, toHex(found.value));
  }
  const left = /\$\{(\w+)\}/.exec(text);
  return left === null ? ofBytes(utf8(text)) : mistake(`nothing stands for \`\${${left[1]}}\``, 'fill');
}

type MadeForm = Exclude<LabelForm, ContentForm>;

function isMade(form: DataForm | EvmForm): form is MadeForm {
  return typeof form === 'object' && MADE.some((member) => member in form);
}

const MADE = ['ima_hash', 'ima_digest', 'ima_sig', 'cert', 'modsig', 'cms', 'verity_sig'] as const;

/** The content that a hash or signature is about. */
function subject(
  form: { readonly of?: ContentForm | undefined },
  context: DataContext,
  own: Content | null,
): Resolved<Content> {
  if (form.of !== undefined) return resolvePlain(form.of, context);
  return own === null ? mistake('say of which content: `of: ...`') : { ok: true, value: own };
}

function digestOf(content: Content, alg: string): Resolved<Uint8Array> {
  const digest = fileContentHash(alg, content);
  return digest === null ? mistake(`the content has no known ${alg} digest`) : { ok: true, value: digest };
}

/** Hashes of a content as security.ima holds them. */
function resolveHash(form: MadeForm, content: Content): Resolved<Content> {
  const old = 'ima_digest' in form;
  const alg = old ? form.ima_digest : 'ima_hash' in form ? form.ima_hash : 'sha256';
  const digest = digestOf(content, alg);
  if (!digest.ok) return digest;
  const head = old ? [IMA_XATTR_DIGEST] : [IMA_XATTR_DIGEST_NG, hashAlgo(alg)];
  return ofBytes(concat(Uint8Array.from(head), digest.value));
}

const from = (made: Made<Uint8Array>): Resolved<Content> =>
  made.ok ? ofBytes(made.value) : mistake(made.problem);

/** Signatures over a content; one that is known by its digests can only be signed by them. */
function resolveSigned(form: MadeForm, key: ScenarioKey, content: Content): Resolved<Content> {
  const alg: HashName = 'hash' in form ? (form.hash ?? 'sha256') : 'sha256';
  if ('ima_sig' in form && form.verity !== true) {
    const digest = digestOf(content, alg);
    if (!digest.ok) return digest;
    const { version = 2 } = form;
    return from(signedXattr(key, { type: EVM_IMA_XATTR_DIGSIG, version, alg, digest: digest.value }));
  }
  if (content.kind !== 'bytes') return mistake('only known bytes can be signed so');
  if ('ima_sig' in form) {
    if (alg !== 'sha256' && alg !== 'sha512') return mistake(`fs-verity has no ${alg}`, 'hash');
    return from(imaVeritySign(key, alg, fsVerityDigest(content.bytes, { ...FS_VERITY_DEFAULT, alg })));
  }
  if ('modsig' in form) return from(appendModsig(key, content.bytes, alg));
  const options = { alg, certificates: true };
  if ('cms' in form)
    return from(signMessage(key, content.bytes, { ...options, detached: form.detached ?? false }));
  const text = fsVerityFormattedDigest('sha256', fsVerityDigest(content.bytes));
  return from(signMessage(key, text, { ...options, detached: true }));
}

/** The key that a form names; a key set that could not be made gives null. */
export function keyOf(name: string, context: DataContext): ScenarioKey | null | undefined {
  return context.keys === null ? null : context.keys.get(name);
}

/** The content that a form stands for; `own` is the content of the file that an attribute belongs to. */
export function resolveContent(
  form: DataForm | undefined,
  context: DataContext,
  own: Content | null = null,
): Resolved<Content> {
  if (form === undefined) return ofBytes(EMPTY);
  if (isEvm(form)) return resolveEvm(form, unknownFile(DEFAULT_KERNEL), context);
  if (!isMade(form)) return resolvePlain(form, context);
  const member = MADE.find((m) => m in form) ?? 'ima_hash';
  const named = (form as { readonly [member: string]: unknown })[member];
  if (member === 'ima_hash' || member === 'ima_digest') {
    const content = subject(form as { readonly of?: ContentForm }, context, own);
    return content.ok ? resolveHash(form, content.value) : content;
  }
  const key = keyOf(String(named), context);
  if (key === null) return ofBytes(EMPTY);
  if (key === undefined) return mistake(`there is no key \`${String(named)}\``, member);
  if (member === 'cert') return ofBytes(key.certificate);
  const content = subject(form as { readonly of?: ContentForm }, context, own);
  return content.ok ? resolveSigned(form, key, content.value) : content;
}

export function isEvm(form: DataForm | EvmForm): form is EvmForm {
  return typeof form === 'object' && ('evm_sig' in form || 'evm_hmac' in form);
}

/** A value of security.evm for a file, or for the metadata that the form says. */
export function resolveEvm(form: EvmForm, file: EvmFile, context: DataContext): Resolved<Content> {
  const key = 'evm_sig' in form ? keyOf(form.evm_sig, context) : looseHex(form.evm_hmac);
  if (key === null) return ofBytes(EMPTY);
  if (key === undefined)
    return mistake(`there is no key \`${'evm_sig' in form ? form.evm_sig : ''}\``, 'evm_sig');
  const given = form.for?.xattrs;
  const xattrs: Xattr[] = [];
  for (const [name, label] of Object.entries(given ?? {})) {
    const value = resolveContent(label, context);
    if (!value.ok) return mistake(`${name}: ${value.message}`);
    if (value.value.kind !== 'bytes') return mistake(`${name}: bytes are needed here`);
    xattrs.push({ name, value: value.value.bytes });
  }
  const covered = evmFileFor(file, form.for ?? {}, given === undefined ? null : xattrs);
  return from(evmValue(form, key, covered));
}

/** The form that operations take; bytes that were made or read become hex. */
export function operationData(form: DataForm, content: Content): Data {
  if (typeof form === 'string') return form;
  if ('text' in form) return { text: form.text };
  if ('repeat' in form) return { repeat: form.repeat, n: form.n };
  if (content.kind === 'bytes') return { hex: toHex(content.bytes) };
  return { opaque: content.label, len: content.length, digests: { ...content.digests } };
}
