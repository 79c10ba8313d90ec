// Compares what a scenario expects with what happened. Only what is written is compared, with one rule
// besides: a step that names no errno must succeed.

import { fromLatin1, utf8 } from '../base/bytes.ts';
import type { AuditRecord } from '../integrity/audit.ts';
import { fileContentHash } from '../integrity/hash-info.ts';
import { decodeRc, describeRc } from '../tpm/rc.ts';
import { type DataContext, resolveContent } from './data.ts';
import type { OpResult } from './ops/types.ts';
import type { Check, Effects, ListEntry } from './result.ts';
import type { CommonExpectation, ListEntryExpectation, StepExpectation } from './schema-expect.ts';
import type { PathStep } from './source.ts';

/** What expectations look at, for a step or for the end. */
export interface Situation {
  readonly effects: Effects;
  /** Registers now: bank, number -> hex; undefined for a bank that is not there. */
  pcr(bank: string, pcr: number): string | undefined;
  readonly banks: readonly string[];
  /** Reason codes of the trace in question. */
  readonly reasons: ReadonlySet<string>;
  /** Lines that the kernel wrote to its log. */
  readonly log: readonly string[];
  /** The IMA policy as it reads back. */
  policy(): string;
  /** Flags of a file's IMA record; null when it has none, undefined when there is no such file. */
  iint(path: string): readonly string[] | null | undefined;
  /** Files and keys that expectations refer to. */
  readonly data: DataContext;
}

/** Text as the kernel holds it: UTF-8, one character per byte. */
function byteText(text: string): string {
  return fromLatin1(utf8(text));
}

function check(path: readonly PathStep[], ok: boolean, expected: string, actual: string): Check {
  return { ok, path, expected, actual };
}

function equal(path: readonly PathStep[], expected: string, actual: string): Check {
  return check(path, expected === actual, expected, actual);
}

const list = (words: readonly string[]): string => (words.length === 0 ? 'nothing' : words.join(', '));

/** Differences of one entry from what is expected of it; empty when it fits. */
function entryMismatch(
  want: ListEntryExpectation,
  have: ListEntry | undefined,
  at: Situation,
): readonly string[] {
  if (have === undefined) return ['no entry'];
  const out: string[] = [];
  const differ = (name: string, expected: string, actual: string): void => {
    if (expected !== actual) out.push(`${name} ${actual === '' ? 'empty' : actual}, not ${expected}`);
  };
  if (want.pcr !== undefined) differ('pcr', String(want.pcr), String(have.pcr));
  if (want.name !== undefined) differ('name', byteText(want.name), have.name);
  if (want.template !== undefined) differ('template', want.template, have.template);
  if (want.violation !== undefined) differ('violation', String(want.violation), String(have.violation));
  if (want.sig !== undefined) differ('sig', String(want.sig), String((have.fields['sig'] ?? '') !== ''));
  if (want.alg !== undefined) differ('algorithm', want.alg, digestParts(have.digest)[0]);
  if (want.digest !== undefined && !digestFits(want.digest, have.digest))
    out.push(`digest ${have.digest}, not ${want.digest}`);
  if (want.content !== undefined) {
    const content = resolveContent(want.content, at.data);
    const [alg, hex] = digestParts(have.digest);
    const digest = content.ok ? fileContentHash(alg === '' ? 'sha1' : alg, content.value) : null;
    const expected =
      digest === null ? 'unknown' : Array.from(digest, (b) => b.toString(16).padStart(2, '0')).join('');
    differ('digest of the content', expected, hex);
  }
  for (const [id, value] of Object.entries(want.fields ?? {}))
    differ(`field ${id}`, value, have.fields[id] ?? '');
  return out;
}

/** Algorithm and hex of `sha256:...`, `ima:sha256:...` or plain hex. */
function digestParts(digest: string): readonly [alg: string, hex: string] {
  const at = digest.lastIndexOf(':');
  if (at < 0) return ['', digest];
  return [digest.slice(0, at).split(':').at(-1) ?? '', digest.slice(at + 1)];
}

function digestFits(want: string, have: string): boolean {
  if (have === want) return true;
  const [alg, hex] = digestParts(want.toLowerCase());
  const [haveAlg, haveHex] = digestParts(have);
  return (alg === '' || alg === haveAlg) && hex.length >= 8 && haveHex.startsWith(hex);
}

function listChecks(want: NonNullable<CommonExpectation['list']>, at: Situation): readonly Check[] {
  const { entries } = at.effects;
  const checks: Check[] = [];
  const names = list(entries.map((e) => e.name));
  if (want.count !== undefined)
    checks.push(equal(['list', 'count'], String(want.count), String(entries.length)));
  if (want.last !== undefined) {
    const wrong = entryMismatch(want.last, entries.at(-1), at);
    checks.push(check(['list', 'last'], wrong.length === 0, 'the last entry as written', list(wrong)));
  }
  for (const [i, entry] of (want.contains ?? []).entries()) {
    const found = entries.some((e) => entryMismatch(entry, e, at).length === 0);
    checks.push(check(['list', 'contains', i], found, 'such an entry', `entries: ${names}`));
  }
  if (want.entries !== undefined) {
    const counts = check(
      ['list', 'entries'],
      want.entries.length === entries.length,
      `${want.entries.length} entries`,
      `${entries.length}: ${names}`,
    );
    checks.push(counts);
    for (const [i, entry] of want.entries.entries()) {
      const wrong = entryMismatch(entry, entries[i], at);
      checks.push(check(['list', 'entries', i], wrong.length === 0, 'the entry as written', list(wrong)));
    }
  }
  return checks;
}

/** `changed`, `unchanged` or the beginning of a value, for one register of all banks or of one. */
function pcrCheck(key: string, want: string, at: Situation): Check {
  const path = ['pcr', key];
  const [first, second] = key.split(':');
  const number = Number(second ?? first);
  const banks = second === undefined ? at.banks : [first ?? ''];
  if (banks.length === 0) return check(path, false, want, 'the machine has no TPM');
  const absent = banks.filter((b) => at.pcr(b, number) === undefined);
  if (absent.length > 0) return check(path, false, want, `no bank ${absent.join(', ')}`);
  const changes = at.effects.pcrs.filter((c) => c.pcr === number && banks.includes(c.bank));
  if (want === 'changed' || want === 'unchanged') {
    const fits = want === 'changed' ? changes.length === banks.length : changes.length === 0;
    const actual = changes.length === 0 ? 'unchanged' : `changed in ${list(changes.map((c) => c.bank))}`;
    return check(path, fits, want, actual);
  }
  const values = banks.map((b) => at.pcr(b, number) ?? '');
  const fits = values.every((v) => v.startsWith(want.toLowerCase()));
  return check(path, fits, want, list(values.map((v, i) => `${banks[i]}:${v}`)));
}

/** Fields of an audit record's body: `a=b c="d e" f=hex`. */
export function auditFields(record: AuditRecord): { readonly [field: string]: string } {
  const out: Record<string, string> = { type: String(record.type) };
  for (const m of record.body.matchAll(/([\w-]+)=("(?:[^"]*)"|.*?)(?=\s+[\w-]+=|$)/g)) {
    const value = m[2] ?? '';
    out[m[1] ?? ''] = value.startsWith('"') ? value.slice(1, -1) : value;
  }
  return out;
}

/** Upper-case hex of a value that records write so because it holds a space or a control byte. */
function untrustedHex(text: string): string {
  return Array.from(utf8(text), (b) => b.toString(16).toUpperCase().padStart(2, '0')).join('');
}

function auditFits(want: { readonly [field: string]: string | number }, record: AuditRecord): boolean {
  const have = auditFields(record);
  return Object.entries(want).every(([field, value]) => {
    const expected = String(value);
    return have[field] === byteText(expected) || have[field] === untrustedHex(expected);
  });
}

function auditChecks(wanted: NonNullable<CommonExpectation['audit']>, at: Situation): readonly Check[] {
  const { audit } = at.effects;
  const shown = list(audit.map((r) => `type=${r.type} ${r.body}`));
  if (wanted.length === 0) return [check(['audit'], audit.length === 0, 'no record', shown)];
  return wanted.map((want, i) => {
    const fields = Object.entries(want).map(([k, v]) => `${k}=${v}`);
    return check(
      ['audit', i],
      audit.some((r) => auditFits(want, r)),
      fields.join(' '),
      shown,
    );
  });
}

function policyLines(text: string): string {
  return text
    .split('\n')
    .map((l) => l.trim())
    .filter((l) => l !== '')
    .join('\n');
}

function iintCheck(path: string, want: readonly string[], at: Situation): Check {
  const flags = at.iint(path);
  const where = ['iint', path];
  if (flags === undefined) return check(where, false, 'a file with flags', 'no such file');
  const actual = flags === null ? 'no record' : list(flags);
  if (want.length === 0) return check(where, flags === null, 'no record', actual);
  const has = new Set(flags ?? []);
  const fits = want.every((f) => (f.startsWith('!') ? !has.has(f.slice(1)) : has.has(f)));
  return check(where, fits, list(want), actual);
}

/** What steps and the end of a scenario have in common. */
export function commonChecks(expect: CommonExpectation, at: Situation): readonly Check[] {
  const checks: Check[] = [];
  if (expect.measured !== undefined) {
    const names = at.effects.entries.map((e) => e.name);
    checks.push(equal(['measured'], list(expect.measured.map(byteText)), list(names)));
  }
  if (expect.list !== undefined) checks.push(...listChecks(expect.list, at));
  for (const [key, want] of Object.entries(expect.pcr ?? {})) checks.push(pcrCheck(key, want, at));
  if (expect.violations !== undefined)
    checks.push(equal(['violations'], String(expect.violations), String(at.effects.violations)));
  if (expect.audit !== undefined) checks.push(...auditChecks(expect.audit, at));
  const reasons = list([...at.reasons].sort());
  for (const [i, code] of (expect.reasons ?? []).entries())
    checks.push(check(['reasons', i], at.reasons.has(code), code, reasons));
  for (const [i, code] of (expect.no_reasons ?? []).entries())
    checks.push(check(['no_reasons', i], !at.reasons.has(code), `not ${code}`, reasons));
  if (expect.log?.length === 0) checks.push(check(['log'], at.log.length === 0, 'no line', list(at.log)));
  for (const [i, text] of (expect.log ?? []).entries())
    checks.push(
      check(
        ['log', i],
        at.log.some((l) => l.includes(text)),
        text,
        list(at.log),
      ),
    );
  if (expect.policy !== undefined)
    checks.push(equal(['policy'], policyLines(expect.policy), policyLines(at.policy())));
  for (const [path, want] of Object.entries(expect.iint ?? {})) checks.push(iintCheck(path, want, at));
  return checks;
}

function rcFits(want: string | number, rc: number): boolean {
  if (typeof want === 'number') return want === rc;
  if (/^0x[0-9a-fA-F]+$/.test(want)) return Number(want) === rc;
  if (want === 'TPM_RC_SUCCESS') return rc === 0;
  return decodeRc(rc).name === want;
}

function outcomeChecks(expect: StepExpectation, result: OpResult): readonly Check[] {
  const checks: Check[] = [];
  const rc = result['rc'];
  const panic = typeof result['panic'] === 'string' ? ` (the kernel panicked: ${result['panic']})` : '';
  const wanted = expect.err ?? 'OK';
  checks.push(check(['err'], wanted === result.err, wanted, `${result.err}${panic}`));
  if (expect.rc !== undefined) {
    const actual = typeof rc === 'number' ? `0x${rc.toString(16)} ${describeRc(rc)}` : 'no response';
    checks.push(check(['rc'], typeof rc === 'number' && rcFits(expect.rc, rc), String(expect.rc), actual));
  } else if (typeof rc === 'number')
    checks.push(check(['rc'], rc === 0, 'TPM_RC_SUCCESS', `0x${rc.toString(16)} ${describeRc(rc)}`));
  for (const member of ['exit', 'signal'] as const) {
    const want = expect[member];
    if (want !== undefined) checks.push(equal([member], String(want), String(result[member] ?? 'none')));
  }
  return checks;
}

/** Readable bytes of a result, one character each. */
function readText(result: OpResult): string | undefined {
  if (typeof result['text'] === 'string') return result['text'];
  const hex = result['hex'];
  if (typeof hex !== 'string') return undefined;
  return hex.replace(/../g, (pair) => String.fromCharCode(Number.parseInt(pair, 16)));
}

function toHexText(text: string): string {
  return Array.from(text, (c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join('');
}

function contentChecks(expect: StepExpectation, result: OpResult): readonly Check[] {
  const checks: Check[] = [];
  const text = readText(result);
  const shown = text === undefined ? 'nothing was read' : JSON.stringify(text.slice(0, 200));
  if (expect.text !== undefined)
    checks.push(check(['text'], text === byteText(expect.text), JSON.stringify(expect.text), shown));
  if (expect.contains !== undefined) {
    const found = text?.includes(byteText(expect.contains)) ?? false;
    checks.push(check(['contains'], found, JSON.stringify(expect.contains), shown));
  }
  if (expect.hex !== undefined) {
    const want = expect.hex.replace(/[\s:]/g, '').toLowerCase();
    const have = text === undefined ? 'nothing was read' : toHexText(text);
    checks.push(equal(['hex'], want, have));
  }
  return checks;
}

/** Codes are compared as sets. */
function attestChecks(want: NonNullable<StepExpectation['attest']>, result: OpResult): readonly Check[] {
  const findings = Array.isArray(result['findings']) ? result['findings'].map(String) : [];
  return Object.entries(want).map(([member, value]) => {
    const have = result[member];
    const text = (v: unknown): string =>
      Array.isArray(v) ? list([...v].map(String).sort()) : v === undefined ? 'no verdict' : String(v);
    const [expected, actual] = [text(value), text(have)];
    const why = expected === actual || findings.length === 0 ? '' : ` (${findings.join('; ')})`;
    return check(['attest', member], expected === actual, expected, `${actual}${why}`);
  });
}

/** Everything a step expects. */
export function stepChecks(expect: StepExpectation, result: OpResult, at: Situation): readonly Check[] {
  const checks: Check[] = [...outcomeChecks(expect, result), ...contentChecks(expect, result)];
  for (const [member, want] of Object.entries(expect.quote ?? {})) {
    const have = result[member];
    checks.push(equal(['quote', member], String(want), have === undefined ? 'no quote' : String(have)));
  }
  checks.push(...attestChecks(expect.attest ?? {}, result));
  for (const [member, want] of Object.entries(expect.result ?? {}))
    checks.push(equal(['result', member], JSON.stringify(want), JSON.stringify(result[member]) ?? 'nothing'));
  return [...checks, ...commonChecks(expect, at)];
}
