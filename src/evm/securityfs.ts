// EVM's nodes in securityfs: `evm` (which keys are in use) and `evm_xattrs` (which attributes count), with
// the values that they take, their errnos and locks.

import { fromLatin1, latin1 } from '../base/bytes.ts';
import { type Errno, fail, negative, ok, type Result } from '../base/errno.ts';
import { kstrtou } from '../base/kstrtox.ts';
import { AUDIT_INTEGRITY_EVM_XATTR, untrusted } from '../integrity/audit.ts';
import { XATTR_SECURITY_PREFIX } from '../integrity/xattr.ts';
import type { PseudoNode } from '../vfs/api.ts';
import { CAP_SYS_ADMIN, XATTR_NAME_MAX } from '../vfs/constants.ts';
import { capable } from '../vfs/perm.ts';
import type { FileId, VfsTask } from '../vfs/types.ts';
import type { Evm } from './evm.ts';
import { withKeyBits } from './keys.machine.ts';
import { EVM_REASON } from './reasons.ts';
import * as st from './state.ts';

/** Longest text that a number is read from: a sign, 32 digits, newline; what follows is not looked at. */
const NUMBER_TEXT = 34;

/** @kernel lib/kstrtox.c kstrtouint_from_user() */
function numberOf(data: Uint8Array): Result<number> {
  const text = fromLatin1(data.subarray(0, NUMBER_TEXT));
  const nul = text.indexOf('\0');
  const parsed = kstrtou(nul < 0 ? text : text.slice(0, nul), 0, 32);
  return parsed.ok ? ok(Number(parsed.value)) : parsed;
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
  evm.state = { ...evm.state, hmacKey: key };
  return null;
}

/** @kernel security/integrity/evm/evm_secfs.c evm_write_key() */
function writeKey(evm: Evm, task: VfsTask, data: Uint8Array): Result<number> {
  if (!capable(task.cred, CAP_SYS_ADMIN) || evm.state.initialized >= st.EVM_SETUP_COMPLETE) {
    evm.env.trace.emit('evm.key', {}, EVM_REASON['evm.setup_complete']);
    return fail('EPERM');
  }
  const parsed = numberOf(data);
  if (!parsed.ok) return parsed;
  const bits = parsed.value;
  if (bits === 0 || (bits & ~st.EVM_INIT_MASK) !== 0) return fail('EINVAL');
  const now = evm.state.initialized;
  if (bits & st.EVM_ALLOW_METADATA_WRITES && now & st.EVM_INIT_HMAC) return fail('EPERM');
  if (bits & st.EVM_INIT_HMAC) {
    const failed = initKey(evm, task);
    if (failed !== null) return fail(failed);
  }
  evm.state = { ...evm.state, initialized: withKeyBits(now, bits) };
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
