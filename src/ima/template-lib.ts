// The fields of templates: what each one stores for an event. Names and strings lose their spaces here, and
// only those.

import { concat, EMPTY, latin1 } from '../base/bytes.ts';
import { fail, ok, type Result } from '../base/errno.ts';
import type { EvmApi } from '../evm/api.ts';
import type { ModsigDigest } from '../integrity/keyring-api.ts';
import {
  EVM_IMA_XATTR_DIGSIG,
  EVM_XATTR_PORTABLE_DIGSIG,
  IMA_VERITY_DIGSIG,
  XATTR_NAME_EVM,
} from '../integrity/xattr.ts';
import type { VfsApi } from '../vfs/api.ts';
import type { FileId, InodeKey } from '../vfs/types.ts';
import { IMA_EVENT_NAME_LEN_MAX, IMA_VERITY_REQUIRED, SHA1_DIGEST_SIZE } from './constants.ts';
import { type FieldId, templateFields } from './template.ts';
import type { FileHash, TemplateDesc } from './types.ts';

/** An appended signature that is being appraised. */
export interface Modsig {
  /** The PKCS#7 message. */
  readonly raw: Uint8Array;
  /** What it signs: the file without the appended part. */
  readonly data: Uint8Array;
  /** Null when the message gave no digest. */
  readonly digest: ModsigDigest | null;
}

/** struct ima_event_data. */
export interface EventData {
  /** Hash that the event is about; null for violations. */
  readonly hash: FileHash | null;
  /** iint flags: verity or ima in d-ngv2. */
  readonly iintFlags: number;
  readonly file: FileId | null;
  readonly inode: InodeKey | null;
  /** One character per byte. */
  readonly filename: string;
  /** Name of the file's dentry, one character per byte; null without a file. */
  readonly dentryName: string | null;
  readonly xattrValue: Uint8Array | null;
  readonly modsig: Modsig | null;
  readonly violation: boolean;
  readonly buf: Uint8Array;
}

/** What the fields reach for besides the event. */
export interface FieldEnv {
  readonly vfs: VfsApi;
  readonly evm: EvmApi;
  /** ima_hash_algo. */
  readonly hashAlgo: string;
  readonly hashSize: number;
  /** Whether the entry itself cannot be allocated. */
  noMemory(): boolean;
  /**
   * The digest of an event again with an algorithm of at most 20 bytes: `d` cannot hold another one. The
   * errno aborts
   * the entry.
   */
  shortDigest(event: EventData): Result<Uint8Array>;
}

type Field = (event: EventData, env: FieldEnv) => Result<Uint8Array>;

const NOTHING: Result<Uint8Array> = ok(EMPTY);
const SHORT = new Set(['sha1', 'md5']);

/** `<type>:<alg>:` NUL digest, as far as the parts are given. */
function digestField(prefix: string, digest: Uint8Array): Result<Uint8Array> {
  return ok(prefix === '' ? digest : concat(latin1(`${prefix}:\0`), digest));
}

/** @kernel security/integrity/ima/ima_template_lib.c ima_write_template_field_data() */
function stringField(text: string): Result<Uint8Array> {
  return ok(latin1(`${text.includes(' ') ? text.replaceAll(' ', '_') : text}\0`));
}

/** @kernel security/integrity/ima/ima_template_lib.c ima_eventdigest_init() */
const digest: Field = (event, env) => {
  if (event.violation || event.hash === null) return ok(new Uint8Array(SHA1_DIGEST_SIZE));
  if (SHORT.has(event.hash.alg)) return ok(event.hash.digest);
  return env.shortDigest(event);
};

const digestNg: Field = (event, env) => {
  if (event.violation || event.hash === null) return digestField(env.hashAlgo, new Uint8Array(env.hashSize));
  return digestField(event.hash.alg, event.hash.digest);
};

const digestNgv2: Field = (event, env) => {
  if (event.violation || event.hash === null)
    return digestField(`ima:${env.hashAlgo}`, new Uint8Array(env.hashSize));
  const type = (event.iintFlags & IMA_VERITY_REQUIRED) !== 0 ? 'verity' : 'ima';
  return digestField(`${type}:${event.hash.alg}`, event.hash.digest);
};

const digestModsig: Field = (event) => {
  if (event.modsig === null) return NOTHING;
  if (event.violation) return digestField('sha1', new Uint8Array(SHA1_DIGEST_SIZE));
  const found = event.modsig.digest;
  if (found === null || found.digest.length === 0) return fail('EINVAL');
  return digestField(found.alg, found.digest);
};

/** `n` holds at most 255 characters: a longer path gives way to the file's own name. */
const name: Field = (event) => {
  if (event.filename.length <= IMA_EVENT_NAME_LEN_MAX) return stringField(event.filename);
  return stringField(event.dentryName ?? event.filename.slice(0, IMA_EVENT_NAME_LEN_MAX));
};

const evmSig: Field = (event, env) => {
  if (event.inode === null) return NOTHING;
  const value = env.vfs.rawGetxattr(event.inode, XATTR_NAME_EVM);
  return value !== undefined && value[0] === EVM_XATTR_PORTABLE_DIGSIG ? ok(value) : NOTHING;
};

const sig: Field = (event, env) => {
  const type = event.xattrValue?.[0];
  if (event.xattrValue !== null && (type === EVM_IMA_XATTR_DIGSIG || type === IMA_VERITY_DIGSIG))
    return ok(event.xattrValue);
  return evmSig(event, env);
};

function number(bytes: number, value: (env: FieldEnv, inode: InodeKey) => number): Field {
  return (event, env) => {
    if (event.inode === null) return NOTHING;
    const out = new Uint8Array(bytes);
    const view = new DataView(out.buffer);
    if (bytes === 2) view.setUint16(0, value(env, event.inode), true);
    else view.setUint32(0, value(env, event.inode), true);
    return ok(out);
  };
}

function xattrs(type: 'n' | 'l' | 'v'): Field {
  return (event, env) => {
    if (event.inode === null) return NOTHING;
    return ok(env.evm.readProtectedXattrs(event.inode, type) ?? EMPTY);
  };
}

const FIELDS: Readonly<Record<FieldId, Field>> = {
  d: digest,
  n: name,
  'd-ng': digestNg,
  'd-ngv2': digestNgv2,
  'n-ng': (event) => stringField(event.filename),
  sig,
  buf: (event) => ok(event.buf),
  'd-modsig': digestModsig,
  modsig: (event) => (event.modsig === null ? NOTHING : ok(event.modsig.raw)),
  evmsig: evmSig,
  iuid: number(4, (env, inode) => env.vfs.inode(inode).uid),
  igid: number(4, (env, inode) => env.vfs.inode(inode).gid),
  imode: number(2, (env, inode) => env.vfs.inode(inode).mode),
  xattrnames: xattrs('n'),
  xattrlengths: xattrs('l'),
  xattrvalues: xattrs('v'),
};

/**
 * Data of all fields of an event, or the errno of the first field that has none.
 * @kernel security/integrity/ima/ima_api.c ima_alloc_init_template()
 */
export function initTemplate(
  template: TemplateDesc,
  event: EventData,
  env: FieldEnv,
): Result<readonly Uint8Array[]> {
  if (env.noMemory()) return fail('ENOMEM');
  const out: Uint8Array[] = [];
  for (const id of templateFields(template)) {
    const field = FIELDS[id](event, env);
    if (!field.ok) return field;
    out.push(field.value);
  }
  return ok(out);
}
