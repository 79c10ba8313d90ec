// Linux errno names and numbers (x86-64, include/uapi/asm-generic/errno*.h) and the two result forms of the
// simulated world. A failure of the simulated world is a value: `Err` (0 or a name) or `Result<T>`; it is
// never thrown.

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  ENOTBLK: 15,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  ENOPKG: 65,
  EBADMSG: 74,
  EOVERFLOW: 75,
  ELIBBAD: 80,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EOPNOTSUPP: 95,
  ENOBUFS: 105,
  ESTALE: 116,
  EDQUOT: 122,
  ECANCELED: 125,
  ENOKEY: 126,
  EKEYEXPIRED: 127,
  EKEYREVOKED: 128,
  EKEYREJECTED: 129,
} as const;

export type Errno = keyof typeof ERRNO;

/** 0 for success, else the errno's name, as kernel functions return 0 or -errno. */
export type Err = 0 | Errno;

export interface Ok<T> {
  readonly ok: true;
  readonly value: T;
}

export interface Failure {
  readonly ok: false;
  readonly errno: Errno;
}

export type Result<T> = Ok<T> | Failure;

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value };
}

const failures = new Map<Errno, Failure>();

/** The failure with that errno (one shared object for each). */
export function fail(errno: Errno): Failure {
  let f = failures.get(errno);
  if (f === undefined) {
    f = Object.freeze({ ok: false, errno } as const);
    failures.set(errno, f);
  }
  return f;
}

/** -errno as the kernel returns it: `-13` for EACCES, 0 for success. */
export function negative(err: Err): number {
  return err === 0 ? 0 : -ERRNO[err];
}
