// The list of 2008: entries of kind `ima` (file data) and of any other kind (generic template data), one
// digest table, one register. Digests are sha1; other banks of a TPM 2.0 get them padded with zeros, as the
// kernels did that knew sha1 only. Leaves out the mode without templates (ima_mode=ima).

import type { Map as ImmutableMap } from 'immutable';
import { concat, EMPTY, latin1, toHex } from '../../base/bytes.ts';
import type { Clock } from '../../base/clock.ts';
import { Writer } from '../../base/codec.ts';
import type { Err } from '../../base/errno.ts';
import { asciiEntry, binaryEntry } from '../../ima/template-show.ts';
import { AUDIT_INTEGRITY_PCR } from '../../integrity/audit.ts';
import { hashDigestSize, kernelHash } from '../../integrity/hash-info.ts';
import type { Rooms } from '../../kernel/rooms.ts';
import type { Inode, InodeKey, VfsTask } from '../../vfs/types.ts';
import type { Detector, Stamps } from './change.ts';
import type { LimRule } from './policy.ts';
import { LIM_REASON as REASON } from './reasons.ts';

export const PCR = 10;
const SHA1_SIZE = 20;
const NAME_SIZE = 256;
const INT_MAX = 0x7fffffff;

/** How template_display() shows the data of a kind; without one it shows nothing. */
export type Display = 'text' | 'hex' | 'none';

export interface LimEntry {
  readonly kind: string;
  readonly digest: Uint8Array;
  /** Template data: for `ima` the digest of the file and its name in 256 bytes. */
  readonly data: Uint8Array;
}

export interface LimRecord {
  readonly stamps: Stamps;
}

export interface LimState {
  /** ima= of the command line. */
  readonly enabled: boolean;
  readonly detector: Detector;
  /** timespec_recent() is asked. */
  readonly askRecent: boolean;
  /** Magic numbers are rules instead of code. */
  readonly skipInPolicy: boolean;
  /** The counter is an atomic_long_t. */
  readonly longCounter: boolean;
  readonly rules: readonly LimRule[];
  /** Rules of an upload under way; null while nobody writes. */
  readonly upload: { readonly rules: readonly LimRule[]; readonly bad: boolean } | null;
  /** Inodes with `measured` set in their record. */
  readonly measured: ImmutableMap<InodeKey, LimRecord>;
  readonly list: readonly LimEntry[];
  readonly violations: number;
  /** Kinds of templates that were registered. */
  readonly kinds: ImmutableMap<string, Display>;
}

/** A cursor as far as storing needs it. */
export interface Store {
  state: LimState;
  readonly rooms: Pick<Rooms, 'trace' | 'audit' | 'faults' | 'chip' | 'vfs'> & { readonly clock: Clock };
}

/** Template data of kind `ima`. */
export function imaData(digest: Uint8Array, name: string): Uint8Array {
  const field = new Uint8Array(NAME_SIZE);
  field.set(latin1(name).subarray(0, NAME_SIZE - 1));
  return concat(digest, field);
}

interface Audited {
  readonly task: VfsTask;
  readonly op: string;
  readonly name: string;
  readonly inode: Inode | null;
}

function audit(x: Store, a: Audited, cause: string, errno: Err): void {
  const { inode } = a;
  const where = inode === null ? {} : { dev: x.rooms.vfs.superblock(inode.sb).sid, ino: inode.ino };
  x.rooms.audit.message(a.task, {
    type: AUDIT_INTEGRITY_PCR,
    op: a.op,
    cause,
    failed: errno !== 0,
    name: a.name,
    errno,
    ...where,
  });
}

/** sha1 in its bank, the same bytes with zeros behind them in the others; a violation is all ones. */
function extend(x: Store, digest: Uint8Array, violation: boolean): number {
  const { chip, faults } = x.rooms;
  if (chip === null) return 0;
  const banks = chip.banks.map((alg) => {
    const value = new Uint8Array(hashDigestSize(alg));
    if (violation) value.fill(0xff);
    else value.set(digest.subarray(0, value.length));
    return { alg, digest: value };
  });
  return faults.deviceError('tpm_pcr_extend') || chip.pcrExtend(PCR, banks);
}

/**
 * Adds an entry and extends the register. EEXIST when the digest is there, ENOMEM when there is no memory;
 * a TPM that does not answer is an audit record.
 */
export function storeTemplate(x: Store, kind: string, data: Uint8Array, violation: boolean, a: Audited): Err {
  const digest = violation ? new Uint8Array(SHA1_SIZE) : kernelHash('sha1', data);
  const known = toHex(digest);
  if (!violation && x.state.list.some((e) => toHex(e.digest) === known)) {
    x.rooms.trace.emit('lim.store', { kind, name: a.name }, REASON['lim.duplicate']);
    return 'EEXIST';
  }
  if (x.rooms.faults.noMemory('ima_add_digest_entry')) {
    x.rooms.trace.emit('lim.store', { kind, name: a.name }, REASON['lim.no_memory']);
    audit(x, a, 'ENOMEM', 'ENOMEM');
    return 'ENOMEM';
  }
  x.state = { ...x.state, list: [...x.state.list, { kind, digest, data }] };
  const cursor = x.rooms.trace.open('lim.store', { kind, name: a.name }, REASON['lim.stored']);
  const rc = extend(x, digest, violation);
  x.rooms.trace.close(cursor);
  if (rc !== 0) audit(x, a, `TPM_error(${rc})`, 0);
  return 0;
}

/** The entry about the boot, before any file is looked at. */
export function bootAggregate(x: Store, data: Uint8Array): void {
  const digest = kernelHash('sha1', data);
  x.state = { ...x.state, list: [...x.state.list, { kind: 'ima', digest, data }] };
  extend(x, digest, false);
}

/** ima_add_violation(): the counter, an entry of zeros, a register that fits no list. */
export function addViolation(x: Store, a: Omit<Audited, 'op'>, cause: 'ToMToU' | 'open_writers'): void {
  const next = x.state.violations + 1;
  const wraps = !x.state.longCounter && next > INT_MAX;
  const counted = wraps ? -INT_MAX - 1 : next;
  x.state = { ...x.state, violations: counted };
  x.rooms.trace.emit('lim.violation', { name: a.name, cause }, REASON['lim.violation']);
  if (wraps) x.rooms.trace.emit('lim.counter', { counted }, REASON['lim.counter_wrapped']);
  const full = { ...a, op: 'invalid_pcr' };
  const err = storeTemplate(x, 'ima', imaData(new Uint8Array(SHA1_SIZE), a.name), true, full);
  audit(x, full, cause, err);
}

function shownData(x: Store, entry: LimEntry): string {
  const display = x.state.kinds.get(entry.kind) ?? 'none';
  if (display === 'hex') return ` ${toHex(entry.data)}`;
  return display === 'text' ? ` ${String.fromCharCode(...entry.data).replace(/[\0\n]+$/, '')}` : '';
}

/** The entry as the kernels of today show the kind `ima`. */
function imaEntry({ digest, data }: LimEntry) {
  const name = data.subarray(SHA1_SIZE);
  const end = name.indexOf(0);
  return {
    pcr: PCR,
    template: { name: 'ima', fmt: 'd|n' },
    fields: [data.subarray(0, SHA1_SIZE), name.subarray(0, end + 1)],
    digests: [digest],
  };
}

/** ascii_runtime_measurements: each kind through its template_display(). */
export function asciiList(x: Store): Uint8Array {
  const lines = x.state.list.map((e) =>
    e.kind === 'ima' ? asciiEntry(imaEntry(e), 0) : `${PCR} ${toHex(e.digest)} ${e.kind}${shownData(x, e)}\n`,
  );
  return latin1(lines.join(''));
}

export function binaryList(x: Store): Uint8Array {
  const records = x.state.list.map((e) => {
    if (e.kind === 'ima') return binaryEntry(imaEntry(e), 0);
    const w = new Writer('le').u32(PCR).bytes(e.digest);
    return w.u32(e.kind.length).bytes(latin1(e.kind)).u32(e.data.length).bytes(e.data).finish();
  });
  return records.length === 0 ? EMPTY : concat(...records);
}
