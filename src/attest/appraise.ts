// One record against a policy: violation, template, name, digest, signature, each failure a finding with the
// record's place. boot_aggregate has its own check, because it is about registers and not about a file.

import { equalBytes, isZero, latin1, toHex } from '../base/bytes.ts';
import { crypto, type HashName, isHashName } from '../crypto/provider.ts';
import { bootAggregate } from './eventlog.ts';
import { type AttestPolicy, type BufferRules, hasDigest } from './policy-rules.ts';
import {
  type ByteOrder,
  digestText,
  fieldsOfTemplate,
  hasDigestField,
  isViolation,
  type ListRecord,
  type Measured,
  measuredOf,
} from './record.ts';
import { judgeSignature, readTrustedKey, type TrustedKey } from './signature.ts';
import type { Findings, Place } from './verdict.ts';

const NO_BYTES = new Uint8Array(0);

/** A policy while a list is read: keys that the policy knows of and that the list brings are trusted on. */
export interface RunPolicy extends AttestPolicy {
  readonly keys: TrustedKey[];
}

export const BOOT_AGGREGATE = 'boot_aggregate';

export function placeOf(record: ListRecord): Place {
  return { artefact: 'list', part: record.part, record: record.index, byte: record.byte };
}

/** Names as one line of text: control characters and bytes of other alphabets are written out. */
export function shownName(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, (ch) => `\\x${ch.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Registers 0 to 9 of a bank as they were when the kernel started; undefined where nothing tells. */
export type BootRegisters = (bank: HashName) => ReadonlyMap<number, Uint8Array> | undefined;

/** What a policy says of a digest; null when it says nothing. */
function digestRule(policy: AttestPolicy, m: Measured): { ok: boolean; why: string } | null {
  const [alg, hex] = [m.file?.alg ?? '', toHex(m.file?.digest ?? new Uint8Array(0))];
  if (hasDigest(policy.allow, alg, hex)) return { ok: true, why: 'allow' };
  const exact = policy.files.get(m.name);
  if (exact !== undefined) return { ok: hasDigest(exact, alg, hex), why: 'files' };
  const rule = policy.paths.find((p) => p.matches(m.name));
  if (rule === undefined || (rule.digests === null && rule.signed)) return null;
  return { ok: rule.digests === null || hasDigest(rule.digests, alg, hex), why: rule.pattern };
}

/** A record with a buffer under rules for such: a key by its keyring, other data by its name. */
function appraiseBuffer(
  record: ListRecord,
  m: Measured,
  rules: BufferRules,
  p: RunPolicy,
  out: Findings,
): void {
  const key = readTrustedKey(m.buf ?? NO_BYTES);
  if (key !== null && (rules.ignored.has('*') || rules.ignored.has(m.name))) return;
  const [kind, lists] = key === null ? ['buffer', rules.others] : ['keyring', rules.keys];
  const good = lists.get(m.name);
  const what = `${kind} ${shownName(m.name)} (${digestText(m.file)})`;
  if (good === undefined) {
    if (p.unlisted === 'deny')
      out.add('fail', 'attest.unlisted', placeOf(record), `${what} is not in the policy`);
  } else if (!hasDigest(good, m.file?.alg ?? '', toHex(m.file?.digest ?? NO_BYTES)))
    out.add('fail', 'attest.wrong_digest', placeOf(record), `${what} is not what the policy allows`);
  else if (key !== null) p.keys.push(key);
}

function appraiseFile(record: ListRecord, m: Measured, policy: RunPolicy, out: Findings): void {
  if (m.buf !== null && policy.buffers !== null) {
    appraiseBuffer(record, m, policy.buffers, policy, out);
    return;
  }
  const place = placeOf(record);
  const name = shownName(m.name);
  const rule = policy.paths.find((p) => p.matches(m.name));
  const signature =
    policy.keys.length > 0 || rule?.signed ? judgeSignature(m.sig, m.file, policy.keys) : 'none';
  if (signature === 'bad') {
    out.add(
      'fail',
      'attest.bad_signature',
      place,
      `${name}: the signature is not over ${digestText(m.file)}`,
    );
    return;
  }
  const listed = digestRule(policy, m);
  if (listed !== null && !listed.ok && signature !== 'good') {
    const why = `${name} has ${digestText(m.file)}, which ${listed.why} does not allow`;
    out.add('fail', 'attest.wrong_digest', place, why);
    return;
  }
  if (signature === 'good') return;
  const mustBeSigned = rule?.signed === true && policy.files.get(m.name) === undefined;
  if (signature === 'untrusted' && (listed === null || mustBeSigned))
    out.add('fail', 'attest.untrusted_signature', place, `${name} is signed by a key that is not trusted`);
  else if (mustBeSigned) out.add('fail', 'attest.unsigned', place, `${name} has no signature`);
  else if (listed === null && policy.unlisted === 'deny')
    out.add('fail', 'attest.unlisted', place, `${name} (${digestText(m.file)}) is not in the policy`);
}

/** A buffer's digest is that of the bytes beside it. */
function checkBuffer(record: ListRecord, m: Measured, out: Findings): void {
  if (m.buf === null || m.file === null || !isHashName(m.file.alg)) return;
  const digest = crypto().hash(m.file.alg, m.buf);
  if (!equalBytes(digest, m.file.digest))
    out.add(
      'fail',
      'attest.malformed_record',
      placeOf(record),
      `${shownName(m.name)}: ${digestText(m.file)} is not the digest of its buffer`,
    );
}

/** What boot_aggregate may be: of ten registers, or of eight as for sha1 and before 5.8. */
function aggregates(bank: HashName, registers: ReadonlyMap<number, Uint8Array> | undefined): Uint8Array[] {
  if (registers === undefined) return [];
  const values = ([9, 7] as const).map((last) => bootAggregate(bank, registers, last));
  return (bank === 'sha1' ? values.reverse() : values).filter((v) => v !== null);
}

/**
 * boot_aggregate against the registers and the golden values.
 * @kernel security/integrity/ima/ima_init.c ima_add_boot_aggregate()
 */
function checkBootAggregate(
  record: ListRecord,
  m: Measured,
  policy: AttestPolicy,
  boot: BootRegisters,
  out: Findings,
): void {
  const place = placeOf(record);
  const { file } = m;
  if (file === null) return;
  const golden = policy.bootAggregate;
  if (golden !== null && !hasDigest(golden, file.alg, toHex(file.digest)))
    out.add(
      'fail',
      'attest.boot_aggregate_golden',
      place,
      `${digestText(file)} is none of the golden values`,
    );
  const known = isHashName(file.alg) ? aggregates(file.alg, boot(file.alg)) : [];
  if (known.length === 0) {
    const level = golden === null ? 'warn' : 'note';
    const zero = isZero(file.digest) ? ' (it is zero: the kernel found no TPM bank to use)' : '';
    out.add(
      level,
      'attest.boot_aggregate_unchecked',
      place,
      `${digestText(file)} could not be checked${zero}`,
    );
  } else if (!known.some((v) => equalBytes(v, file.digest))) {
    const [first] = known;
    const expected = first === undefined ? '' : `, the registers give ${toHex(first)}`;
    out.add('fail', 'attest.boot_aggregate', place, `the list has ${digestText(file)}${expected}`);
  }
}

const NAME_END = latin1(`${BOOT_AGGREGATE}\0`);

/** Templates whose data ends with the name of the file. */
const NAME_LAST: ReadonlySet<string> = new Set(['ima-ng', 'ima-ngv2']);

function u32At(data: Uint8Array, at: number, order: ByteOrder): number {
  const [a = 0, b = 0, c = 0, d = 0] = [data[at], data[at + 1], data[at + 2], data[at + 3]];
  return order === 'le' ? a + b * 256 + c * 65536 + d * 16777216 : d + c * 256 + b * 65536 + a * 16777216;
}

/** Whether data is made of two fields: the template's name is not part of what is hashed, so it may lie. */
function hasTwoFields(data: Uint8Array, order: ByteOrder): boolean {
  const second = 4 + u32At(data, 0, order);
  return second + 4 <= data.length && second + 4 + u32At(data, second, order) === data.length;
}

/**
 * Whether nothing but the replay can be said of a record: for lists of which only the registers are
 * asked.
 */
function isPlain(record: ListRecord): boolean {
  const { data } = record;
  if (data === null || record.index === 0 || record.digest[0] === 0) return false;
  if (!NAME_LAST.has(record.template)) return false;
  if (!hasTwoFields(data, record.order)) return false;
  const from = data.length - NAME_END.length;
  for (let i = NAME_END.length - 1; i >= 0; i--) if (data[from + i] !== NAME_END[i]) return true;
  return false;
}

/** Whether a policy says nothing of files. */
export function judgesFiles(policy: AttestPolicy): boolean {
  const { files, paths, allow, keys } = policy;
  return files.size + paths.length + allow.size + keys.length > 0 || policy.unlisted === 'deny';
}

/** All checks of one record but those of the registers. */
export function appraiseRecord(
  record: ListRecord,
  policy: RunPolicy,
  boot: BootRegisters,
  out: Findings,
): void {
  if (isPlain(record) && !judgesFiles(policy)) return;
  const place = placeOf(record);
  const m = measuredOf(record);
  if (isViolation(record)) {
    const name = m === null ? 'a record' : shownName(m.name);
    const level = policy.violations === 'deny' ? 'fail' : 'warn';
    if (m === null || !policy.exclude.some((matches) => matches(m.name)))
      out.add(level, 'attest.violation', place, `violation: ${name} was not measured with certainty`);
    return;
  }
  if (fieldsOfTemplate(record.template) === null) {
    const level = policy.unknownTemplates === 'deny' ? 'fail' : 'warn';
    out.add(
      level,
      'attest.unknown_template',
      place,
      `the template \`${shownName(record.template)}\` is not known`,
    );
    return;
  }
  if (m === null || (m.file === null && hasDigestField(record.template))) {
    out.add('fail', 'attest.malformed_record', place, `the fields are not those of ${record.template}`);
    return;
  }
  if (record.index === 0 && m.name !== BOOT_AGGREGATE)
    out.add('warn', 'attest.boot_aggregate_missing', place, `the first record is ${shownName(m.name)}`);
  checkBuffer(record, m, out);
  if (m.name === BOOT_AGGREGATE) checkBootAggregate(record, m, policy, boot, out);
  else if (!policy.exclude.some((matches) => matches(m.name))) appraiseFile(record, m, policy, out);
}
