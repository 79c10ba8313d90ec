// Operations on the integrity subsystems: pseudo files of securityfs, IMA policy uploads, keys, fs-verity,
// device-mapper, and the snapshot of lists, counters and registers. Files they read on the way are read as
// the recording program does.

import { z } from 'zod';
import { equalBytes, fromLatin1, toHex } from '../../base/bytes.ts';
import type { Result } from '../../base/errno.ts';
import { O_CLOEXEC, O_RDWR, O_WRONLY, S_IFBLK, S_IFCHR } from '../../vfs/constants.ts';
import type { Sys } from '../session.ts';
import { FLAGS, openFlags, PATH } from './files.ts';
import { slurp, slurpText } from './slurp.ts';
import { makedev } from './tree.ts';
import {
  bytesOf,
  DATA,
  defineOp,
  errName,
  failedAt,
  NUMBER,
  num,
  type OpContext,
  type OpDeclaration,
  type OpResult,
  result,
  textOf,
  unsupported,
  type Value,
} from './types.ts';

const IMA = '/sys/kernel/security/integrity/ima/';
const EVM = '/sys/kernel/security/integrity/evm/';
const TPM = '/sys/class/tpm/tpm0/';
const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
/** Pieces that syswrite takes after the first: data2 ... data9. */
const PIECES = ['data2', 'data3', 'data4', 'data5', 'data6', 'data7', 'data8', 'data9'] as const;

const syswrite = defineOp({
  name: 'syswrite',
  help: 'opens a pseudo file (wronly), writes each piece with one write(2), closes',
  args: {
    path: PATH,
    flags: FLAGS,
    data: DATA.optional(),
    data2: DATA.optional(),
    data3: DATA.optional(),
    data4: DATA.optional(),
    data5: DATA.optional(),
    data6: DATA.optional(),
    data7: DATA.optional(),
    data8: DATA.optional(),
    data9: DATA.optional(),
  },
  run({ actor: { sys } }, args) {
    const fd = sys.open(args.path, openFlags(args.flags ?? 'wronly'), 0);
    if (!fd.ok) return failedAt('open', fd.errno);
    const out: Record<string, Value> = {};
    const first = sys.write(fd.value, bytesOf(args.data));
    let err: string = first.ok ? 'OK' : first.errno;
    if (first.ok) out['wrote'] = first.value;
    else out['at_write'] = err;
    for (const key of PIECES) {
      const piece = args[key];
      if (piece === undefined) break;
      const wrote = sys.write(fd.value, bytesOf(piece));
      out[`at_write${key.slice(4)}`] = errName(wrote.ok ? 0 : wrote.errno);
      if (!wrote.ok && err === 'OK') err = wrote.errno;
    }
    const closed = sys.close(fd.value);
    if (closed !== 0) {
      out['at_close'] = closed;
      if (err === 'OK') err = closed;
    }
    return { err, ...out };
  },
});

/** write(2) again and again with what is left, as cat does; `wrote` is each call's return value. */
function writeLoop(sys: Sys, fd: number, data: Uint8Array, loop: boolean): { wrote: number[]; err: string } {
  const wrote: number[] = [];
  let offset = 0;
  do {
    const n = sys.write(fd, data.subarray(Math.min(offset, data.length)));
    if (!n.ok) return { wrote, err: n.errno };
    wrote.push(n.value);
    offset += n.value;
    if (n.value === 0) break;
  } while (offset < data.length && loop);
  return { wrote, err: 'OK' };
}

/** What a read-back gained, or all of it when the beginning is not the old one. */
function gained(
  before: Result<Uint8Array>,
  after: Result<Uint8Array>,
): { added: string } | { replaced: string } {
  const old = before.ok ? before.value : new Uint8Array(0);
  const now = after.ok ? after.value : new Uint8Array(0);
  if (now.length >= old.length && equalBytes(now.subarray(0, old.length), old)) {
    return { added: fromLatin1(now.subarray(old.length)) };
  }
  return { replaced: fromLatin1(now) };
}

const policyRow = defineOp({
  name: 'policy_row',
  help: 'uploads an IMA policy as cat does; `wrote` per write(2), `added` = what the read-back gained',
  args: { data: DATA.optional(), loop: NUMBER.optional() },
  run({ actor: { sys } }, args) {
    const before = slurp(sys, `${IMA}policy`);
    const fd = sys.open(`${IMA}policy`, O_WRONLY | O_CLOEXEC);
    if (!fd.ok) return failedAt('open', fd.errno);
    const written = writeLoop(sys, fd.value, bytesOf(args.data), num(args.loop, 1) !== 0);
    const out: Record<string, Value> = { wrote: written.wrote };
    let err = written.err;
    if (err !== 'OK') out['at_write'] = err;
    const closed = sys.close(fd.value);
    if (closed !== 0) {
      out['at_close'] = closed;
      if (err === 'OK') err = closed;
    }
    return { err, ...out, ...gained(before, slurp(sys, `${IMA}policy`)) };
  },
});

/** Serial of a keyring: a number as it stands, `%name` looked up in /proc/keys; 0 when it is not there. */
export function findRing(sys: Sys, ring: string | number): number | string {
  const text = String(ring);
  if (!text.startsWith('%')) return num(text, 0);
  const name = text.slice(1);
  const keys = slurpText(sys, '/proc/keys');
  if (!keys.ok) return sys.keyringExists?.(name) === true ? name : 0;
  for (const line of keys.value.split('\n')) {
    const at = line.indexOf('keyring   ');
    if (at < 0) continue;
    const description = line.slice(at + 10);
    const after = description[name.length];
    if (description.startsWith(name) && (after === ':' || after === undefined)) {
      return Number.parseInt(line, 16) | 0;
    }
  }
  return 0;
}

const RING = z
  .union([z.string(), z.number().int()])
  .optional()
  .describe('-3 (session, default), -4 (user), a serial, or %NAME as in %.ima.');

const addKey = defineOp({
  name: 'add_key',
  help: 'add_key(2) into a keyring',
  args: { type: z.string().optional(), desc: DATA.optional(), data: DATA.optional(), ring: RING },
  run({ actor: { sys } }, args) {
    const ring = findRing(sys, args.ring ?? '-3');
    if (ring === 0) return { err: 'ENOKEY', noring: true };
    const key = sys.addKey(args.type ?? 'user', textOf(args.desc) ?? '', bytesOf(args.data), ring);
    return result(key.ok ? 0 : key.errno);
  },
});

/** KEYCTL_SEARCH in the ring an operation names. */
function search(
  { actor: { sys } }: OpContext,
  args: {
    readonly ring?: string | number | undefined;
    readonly type?: string | undefined;
    readonly desc?: string | undefined;
  },
): Result<number> | undefined {
  const ring = findRing(sys, args.ring ?? '-3');
  return sys.keySearch?.(ring, args.type ?? 'user', args.desc ?? '');
}

const KEY_ARGS = { type: z.string().optional(), desc: z.string().optional(), ring: RING };

const keyRead = defineOp({
  name: 'key_read',
  help: 'searches a key and reads its payload',
  args: KEY_ARGS,
  run(context, args) {
    const key = search(context, args);
    const { sys } = context.actor;
    if (key === undefined || sys.keyRead === undefined) return unsupported('keyctl search and read');
    if (!key.ok) return result(key.errno);
    const payload = sys.keyRead(key.value);
    return payload.ok ? { err: 'OK', payload: fromLatin1(payload.value) } : result(payload.errno);
  },
});

const keyOp = defineOp({
  name: 'key_op',
  help: 'searches a key and does what = revoke, unlink or invalidate with it',
  args: { ...KEY_ARGS, what: z.string().optional() },
  run(context, args) {
    const { sys } = context.actor;
    const key = search(context, args);
    if (key === undefined) return unsupported('keyctl search');
    if (!key.ok) return failedAt('search', key.errno);
    const what = args.what ?? 'revoke';
    const err =
      what === 'revoke'
        ? sys.keyRevoke?.(key.value)
        : what === 'unlink'
          ? sys.keyUnlink?.(key.value, findRing(sys, args.ring ?? '-3'))
          : what === 'invalidate'
            ? sys.keyInvalidate?.(key.value)
            : 'EPERM';
    return err === undefined ? unsupported(`keyctl ${what}`) : result(err);
  },
});

const restrict = defineOp({
  name: 'restrict',
  help: 'forbids further links into a keyring (KEYCTL_RESTRICT_KEYRING)',
  args: { ring: RING },
  run({ actor: { sys } }, args) {
    const err = sys.keyRestrict?.(findRing(sys, args.ring ?? '-3'));
    return err === undefined ? unsupported('keyctl restrict') : result(err);
  },
});

const verityEnable = defineOp({
  name: 'verity_enable',
  help: 'opens a file and makes it an fs-verity file; alg 1 = sha256, 2 = sha512',
  args: {
    path: PATH,
    alg: NUMBER.optional(),
    bs: NUMBER.optional(),
    salt: DATA.optional(),
    sig: DATA.optional(),
  },
  run({ actor: { sys } }, args) {
    const fd = sys.open(args.path, O_CLOEXEC);
    if (!fd.ok) return failedAt('open', fd.errno);
    const err = sys.verityEnable?.(fd.value, {
      algorithm: num(args.alg, 1),
      blockSize: num(args.bs, 4096),
      salt: bytesOf(args.salt),
      signature: bytesOf(args.sig),
    });
    sys.close(fd.value);
    return err === undefined ? unsupported('fs-verity') : result(err);
  },
});

const verityMeasure = defineOp({
  name: 'verity_measure',
  help: 'opens a file and returns its fs-verity digest',
  args: { path: PATH },
  run({ actor: { sys } }, args) {
    const fd = sys.open(args.path, O_CLOEXEC);
    if (!fd.ok) return result(fd.errno);
    const got = sys.verityMeasure?.(fd.value);
    sys.close(fd.value);
    if (got === undefined) return unsupported('fs-verity');
    if (!got.ok) return result(got.errno);
    return { err: 'OK', alg: got.value.algorithm, digest: toHex(got.value.digest) };
  },
});

const CONTROL = '/dev/mapper/control';

/** Opens device-mapper's control node, making it when it is not there. */
function openControl(sys: Sys): Result<number> {
  const fd = sys.open(CONTROL, O_RDWR | O_CLOEXEC);
  if (fd.ok) return fd;
  sys.mkdir('/dev/mapper', 0o755);
  sys.mknod(CONTROL, S_IFCHR | 0o600, makedev(10, 236));
  return sys.open(CONTROL, O_RDWR | O_CLOEXEC);
}

/** Create, load and resume; the name of the step that failed is in the result. */
function dmSetup(sys: Sys, name: string, target: string, sectors: number, params: string): OpResult {
  if (!sys.dmCreate || !sys.dmTableLoad || !sys.dmResume || !sys.dmRemove)
    return unsupported('device-mapper');
  const device = sys.dmCreate(name);
  if (!device.ok) return failedAt('create', device.errno);
  const loaded = sys.dmTableLoad({ name, target, sectors, params });
  if (loaded !== 0) {
    sys.dmRemove(name);
    return failedAt('load', loaded);
  }
  const resumed = sys.dmResume(name);
  if (resumed !== 0) return failedAt('resume', resumed);
  const node = `/dev/mapper/${name}`;
  sys.unlink(node);
  sys.mknod(node, S_IFBLK | 0o600, device.value);
  return { err: 'OK' };
}

const dmCreate = defineOp({
  name: 'dm_create',
  help: 'makes a device-mapper device with one target; sig goes into the user key sigdesc',
  args: {
    name: z.string().optional(),
    table: DATA.optional(),
    sectors: NUMBER.optional(),
    ttype: z.string().optional(),
    sig: DATA.optional(),
    sigdesc: DATA.optional(),
  },
  run({ actor: { sys } }, args) {
    const control = openControl(sys);
    if (!control.ok) return failedAt('open', control.errno);
    const out: Record<string, Value> = {};
    if (args.sig !== undefined) {
      const key = sys.addKey('user', textOf(args.sigdesc) ?? 'oracle:sig', bytesOf(args.sig), -3);
      out['at_sigkey'] = errName(key.ok ? 0 : key.errno);
    }
    const table = textOf(args.table) ?? '';
    const { err, ...rest } = dmSetup(
      sys,
      args.name ?? 'v0',
      args.ttype ?? 'verity',
      num(args.sectors, 0),
      table,
    );
    sys.close(control.value);
    return { err, ...out, ...rest };
  },
});

/** Text of a pseudo file, or what went wrong. */
function fileText(sys: Sys, path: string): Value {
  const got = slurpText(sys, path);
  return got.ok ? got.value : { error: got.errno };
}

function counter(value: Value): Value {
  return typeof value === 'string' ? num(value.trim(), 0) : value;
}

/** Registers of each bank as sysfs shows them, in lower case; banks that are not there are left out. */
function registers(sys: Sys, count: number): Record<string, string[]> {
  const out: Record<string, string[]> = {};
  for (const bank of BANKS) {
    if (!sys.stat(`${TPM}pcr-${bank}`).ok) continue;
    out[bank] = Array.from({ length: count }, (_, i) => {
      const text = slurpText(sys, `${TPM}pcr-${bank}/${i}`);
      return text.ok ? text.value.trimEnd().toLowerCase() : '';
    });
  }
  return out;
}

const uniform = (text: string, digit: string): boolean => text.split(digit).join('') === '';

/**
 * What the machine shows after the last operation: both list forms, counters, registers that are neither
 * all zeros nor all ones, the policy, the sha256 list and EVM's state.
 */
export function finalState(sys: Sys): Record<string, Value> {
  const ascii = fileText(sys, `${IMA}ascii_runtime_measurements`);
  const binary = slurp(sys, `${IMA}binary_runtime_measurements`);
  const count = counter(fileText(sys, `${IMA}runtime_measurements_count`));
  const violations = counter(fileText(sys, `${IMA}violations`));
  const pcrs: Record<string, Value> = {};
  for (const [bank, values] of Object.entries(registers(sys, 24))) {
    pcrs[bank] = Object.fromEntries(
      values.flatMap((v, i) => (uniform(v, '0') || uniform(v, 'f') ? [] : [[String(i), v] as const])),
    );
  }
  return {
    ascii,
    binary: binary.ok ? toHex(binary.value) : { error: binary.errno },
    count,
    violations,
    pcrs,
    policy: fileText(sys, `${IMA}policy`),
    ascii_sha256: fileText(sys, `${IMA}ascii_runtime_measurements_sha256`),
    evm: fileText(sys, `${EVM}evm`),
  };
}

const snapshot = defineOp({
  name: 'snapshot',
  help: 'counters, new lines of the list since the last snapshot, registers from 10 up; full = policy and EVM too',
  args: { full: NUMBER.optional() },
  run({ session, actor: { sys } }, args) {
    const full = num(args.full, 0) !== 0;
    const ascii = fileText(sys, `${IMA}ascii_runtime_measurements`);
    slurp(sys, `${IMA}binary_runtime_measurements`);
    const count = counter(fileText(sys, `${IMA}runtime_measurements_count`));
    const violations = counter(fileText(sys, `${IMA}violations`));
    const pcrs: Record<string, Value> = {};
    for (const [bank, values] of Object.entries(registers(sys, full ? 24 : 17))) {
      if (bank !== 'sha1' && bank !== 'sha256') continue;
      const used = values.flatMap((v, i) => (i < 10 || uniform(v, '0') ? [] : [[String(i), v] as const]));
      pcrs[bank] = Object.fromEntries(used);
    }
    const out: Record<string, Value> = { count, violations, pcrs };
    if (typeof ascii === 'string') {
      const lines = ascii.split('\n').slice(0, -1);
      const before = session.sawLines(lines.length);
      out['new'] = lines.length >= before ? lines.slice(before) : lines;
    }
    if (full) {
      out['policy'] = fileText(sys, `${IMA}policy`);
      out['ascii_sha256'] = fileText(sys, `${IMA}ascii_runtime_measurements_sha256`);
      out['evm'] = fileText(sys, `${EVM}evm`);
    }
    return { err: 'OK', ...out };
  },
});

const sleep = defineOp({
  name: 'sleep',
  help: 'lets ms (10) milliseconds pass',
  args: { ms: NUMBER.optional() },
  run({ session }, args) {
    session.machine.advance(num(args.ms, 10) * 1000);
    return { err: 'OK' };
  },
});

export const INTEGRITY_OPS: readonly OpDeclaration[] = [
  syswrite,
  policyRow,
  addKey,
  keyRead,
  keyOp,
  restrict,
  verityEnable,
  verityMeasure,
  dmCreate,
  snapshot,
  sleep,
];
