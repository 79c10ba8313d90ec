// EVM's nodes in securityfs: `evm` (which keys are in use) and `evm_xattrs` (which attributes count), with
// the values that they take, their errnos and locks.

import { fromLatin1, latin1 } from '../base/bytes.ts';
import { type Errno, fail, negative, ok, type Result } from '../base/errno.ts';
import { AUDIT_INTEGRITY_EVM_XATTR, untrusted } from '../integrity/audit.ts';
import { XATTR_SECURITY_PREFIX } from '../integrity/xattr.ts';
import type { PseudoNode } from '../vfs/api.ts';
import { CAP_SYS_ADMIN, XATTR_NAME_MAX } from '../vfs/constants.ts';
import { capable } from '../vfs/perm.ts';
import type { FileId, VfsTask } from '../vfs/types.ts';
import type { Evm } from './evm.ts';
import { EVM_REASON } from './reasons.ts';
import * as st from './state.ts';

/** kstrtouint() with base 0: EINVAL for anything but a number, ERANGE over 32 bits. */
function kstrtouint(text: string): Result<number> {
  const m = /^\+?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\n?$/.exec(text);
  if (m === null) return fail('EINVAL');
  const digits = m[1] as string;
  const value = /^0[xX]/.test(digits)
    ? Number(digits)
    : Number.parseInt(digits, digits.startsWith('0') ? 8 : 10);
  return value > 0xffffffff ? fail('ERANGE') : ok(value);
}

/** @kernel security/integrity/evm/evm_crypto.c evm_init_key() */
function initKey(evm: Evm, task: VfsTask): Errno | null {
  const secret = evm.env.requestSecret(task, 'evm-key');
  if (!secret.ok) {
    evm.env.trace.emit('evm.key', {}, EVM_REASON['evm.no_key']);
    return 'ENOENT';
  }
  if (evm.state.hmacKey !== null) return 'EBUSY';
  if (secret.value.length > st.MAX_KEY_SIZE) return 'EINVAL';
  const key = new Uint8Array(st.MAX_KEY_SIZE);
  key.set(secret.value);
  evm.state = { ...evm.state, hmacKey: key, initialized: (evm.state.initialized | st.EVM_INIT_HMAC) >>> 0 };
  return null;
}

/** @kernel security/integrity/evm/evm_secfs.c evm_write_key() */
function writeKey(evm: Evm, task: VfsTask, data: Uint8Array): Result<number> {
  if (!capable(task.cred, CAP_SYS_ADMIN) || evm.state.initialized >= st.EVM_SETUP_COMPLETE) {
    evm.env.trace.emit('evm.key', {}, EVM_REASON['evm.setup_complete']);
    return fail('EPERM');
  }
  const parsed = kstrtouint(fromLatin1(data));
  if (!parsed.ok) return parsed;
  let bits = parsed.value;
  if (bits === 0 || (bits & ~st.EVM_INIT_MASK) !== 0) return fail('EINVAL');
  const now = evm.state.initialized;
  if (bits & st.EVM_ALLOW_METADATA_WRITES && now & st.EVM_INIT_HMAC) return fail('EPERM');
  if (bits & st.EVM_INIT_HMAC) {
    const failed = initKey(evm, task);
    if (failed !== null) return fail(failed);
    bits = (bits | st.EVM_SETUP_COMPLETE) >>> 0;
  }
  let initialized = (evm.state.initialized | bits) >>> 0;
  if (initialized & st.EVM_INIT_HMAC) initialized = (initialized & ~st.EVM_ALLOW_METADATA_WRITES) >>> 0;
  evm.state = { ...evm.state, initialized };
  return ok(data.length);
}

/** Adds or enables a name, or locks the list; the value is what audit shows as res. */
function addXattr(evm: Evm, name: string): Errno | null {
  if (name === '.') {
    evm.state = { ...evm.state, xattrsLocked: true };
    return null;
  }
  if (!name.startsWith(XATTR_SECURITY_PREFIX)) return 'EINVAL';
  const there = evm.state.xattrs.find((x) => x.name === name);
  if (there?.enabled) return 'EEXIST';
  const xattrs = there
    ? evm.state.xattrs.map((x) => (x === there ? { name, enabled: true } : x))
    : [...evm.state.xattrs, { name, enabled: true }];
  evm.state = { ...evm.state, xattrs };
  return null;
}

/** @kernel security/integrity/evm/evm_secfs.c evm_write_xattrs() */
function writeXattrs(
  evm: Evm,
  task: VfsTask,
  data: Uint8Array,
  offset: number,
  lock: () => void,
): Result<number> {
  if (!capable(task.cred, CAP_SYS_ADMIN) || evm.state.xattrsLocked) return fail('EPERM');
  if (offset !== 0) return fail('EINVAL');
  if (data.length > XATTR_NAME_MAX) return fail('E2BIG');
  const text = fromLatin1(data);
  const end = text.indexOf('\0');
  const name = (end < 0 ? text : text.slice(0, end)).replace(/\n$/, '');
  const failed = addXattr(evm, name);
  evm.env.audit.log(
    AUDIT_INTEGRITY_EVM_XATTR,
    `xattr=${untrusted(name)} res=${failed === null ? 0 : negative(failed)}`,
  );
  if (name === '.' && failed === null) lock();
  return failed === null ? ok(data.length) : fail(failed);
}

/** Nodes under securityfs' `integrity/evm`, with their modes and the keys of their behaviour. */
export const EVM_SECURITYFS = [
  { name: 'evm', mode: 0o660, key: 'evm/evm' },
  { name: 'evm_xattrs', mode: 0o660, key: 'evm/evm_xattrs' },
] as const;

/** Behaviour of the nodes; `lockMode` gives evm_xattrs mode 0440. */
export function evmPseudo(evm: Evm, lockMode: (file: FileId, mode: number) => void): Map<string, PseudoNode> {
  return new Map<string, PseudoNode>([
    [
      'evm/evm',
      {
        read: () => ok(latin1(String(evm.state.initialized & ~st.EVM_SETUP_COMPLETE))),
        write: (task, _file, data) => writeKey(evm, task, data),
      },
    ],
    [
      'evm/evm_xattrs',
      {
        read: () =>
          ok(
            latin1(
              evm.state.xattrs
                .filter((x) => x.enabled)
                .map((x) => `${x.name}\n`)
                .join(''),
            ),
          ),
        write: (task, file, data, offset) =>
          writeXattrs(evm, task, data, offset, () => lockMode(file, 0o440)),
      },
    ],
  ]);
}
