// Reading a whole file as a small program does: open, read until nothing comes, close.

import { concatAll, fromLatin1 } from '../../base/bytes.ts';
import { fail, ok, type Result } from '../../base/errno.ts';
import type { SyscallApi } from '../../kernel/api.ts';
import { O_CLOEXEC } from '../../vfs/constants.ts';

const READ_SIZE = 65536;

/** Opens a file read-only, reads it to its end and closes it: bytes so far are dropped when a read fails. */
export function slurp(sys: SyscallApi, path: string): Result<Uint8Array> {
  const fd = sys.open(path, O_CLOEXEC);
  if (!fd.ok) return fd;
  const parts: Uint8Array[] = [];
  for (;;) {
    const got = sys.read(fd.value, READ_SIZE);
    if (!got.ok) {
      sys.close(fd.value);
      return fail(got.errno);
    }
    if (got.value.length === 0) break;
    parts.push(got.value);
  }
  sys.close(fd.value);
  return ok(parts.length === 1 && parts[0] !== undefined ? parts[0] : concatAll(parts));
}

/** What `slurp` read, one character per byte. */
export function slurpText(sys: SyscallApi, path: string): Result<string> {
  const bytes = slurp(sys, path);
  return bytes.ok ? ok(fromLatin1(bytes.value)) : bytes;
}
