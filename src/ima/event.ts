// What a template's fields need of an event: the file's identity, and a digest that fits the old `d` field.

import { fail, ok, type Result } from '../base/errno.ts';
import { AUDIT_INTEGRITY_DATA } from '../integrity/audit.ts';
import { type HashAlgoName, hashDigestSize } from '../integrity/hash-info.ts';
import type { FileId, VfsTask } from '../vfs/types.ts';
import { calcFileHash } from './collect.ts';
import { BOOT_AGGREGATE_NAME, SHA1_DIGEST_SIZE } from './constants.ts';
import { calcBootAggregate } from './crypto.ts';
import { auditMessage, byteText, type ImaCursor, noMemory } from './cursor.ts';
import type { EventData, FieldEnv, Modsig } from './template-lib.ts';
import type { FileHash } from './types.ts';

/** @kernel security/integrity/ima/ima_template_lib.c ima_eventdigest_init() */
function shortDigest(ima: ImaCursor, task: VfsTask, event: EventData): Result<Uint8Array> {
  if (event.filename === BOOT_AGGREGATE_NAME && event.file === null && event.buf.length === 0) {
    const zero = new Uint8Array(SHA1_DIGEST_SIZE);
    if (!ima.state.hasTpm) return ok(zero);
    const aggregate = calcBootAggregate(ima, 'sha1');
    return ok(aggregate.ok && aggregate.value.alg === 'sha1' ? aggregate.value.digest : zero);
  }
  if (event.file === null) return fail('EINVAL');
  const alg = ima.state.hashAlgo === 'md5' ? 'md5' : 'sha1';
  const { err, hash } = calcFileHash(ima, task, ima.env.vfs.file(event.file), alg);
  if (err === 0) return ok(hash.digest);
  auditMessage(ima, task, {
    type: AUDIT_INTEGRITY_DATA,
    op: 'collect_data',
    cause: 'failed',
    name: event.filename,
    inode: event.inode === null ? null : ima.env.vfs.inode(event.inode),
    failed: true,
  });
  return fail(err);
}

export function fieldEnv(ima: ImaCursor, task: VfsTask): FieldEnv {
  return {
    vfs: ima.env.vfs,
    evm: ima.env.evm,
    hashAlgo: ima.state.hashAlgo,
    hashSize: hashDigestSize(ima.state.hashAlgo as HashAlgoName),
    noMemory: () => noMemory(ima, 'ima_alloc_init_template'),
    shortDigest: (event) => shortDigest(ima, task, event),
  };
}

/** Event of a file; `hash` null is a violation. */
export function fileEvent(
  ima: ImaCursor,
  file: FileId,
  pathname: string,
  iintFlags: number,
  hash: FileHash | null,
  label: { readonly xattr: Uint8Array | null; readonly modsig: Modsig | null },
): EventData {
  const { vfs } = ima.env;
  const open = vfs.file(file);
  return {
    hash,
    iintFlags,
    file,
    inode: open.inode,
    filename: pathname,
    dentryName: byteText(vfs.dentry(open.path.dentry).name),
    xattrValue: label.xattr,
    modsig: label.modsig,
    violation: hash === null,
    buf: new Uint8Array(0),
  };
}
