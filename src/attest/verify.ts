// A whole verification: quote, event log, measurement list (in one file or several, read piece by piece),
// policy and the last visit give one verdict. Nothing here waits and nothing is kept of a record that is
// done, so the memory does not grow with the list.

import { EMPTY, isZero, toHex } from '../base/bytes.ts';
import { type HashName, isHashName } from '../crypto/provider.ts';
import { decodeEventLog, type EventLog } from '../kernel/eventlog.ts';
import { appraiseRecord, type BootRegisters, type RunPolicy } from './appraise.ts';
import { type Registers, replayBanks } from './eventlog.ts';
import { AsciiListReader, looksAscii } from './list-ascii.ts';
import { BinaryListReader } from './list-binary.ts';
import { type AttestPolicy, hasDigest } from './policy-rules.ts';
import { selectionText } from './quote.ts';
import type { ListRecord } from './record.ts';
import { registerName, shortHex } from './registers.ts';
import { bankOfSize, ListReplay, type RegisterOutcome } from './replay.ts';
import type { ListVisit, Visit } from './state.ts';
import { type Finding, Findings, type Place, UnreadableError } from './verdict.ts';
import { checkBootPolicy, checkEventLog, checkEventRecords } from './verify-boot.ts';
import {
  type CheckedQuote,
  checkQuotedDigest,
  checkQuoteFiles,
  coversQuote,
  type QuoteEvidence,
  QuoteSearch,
} from './verify-quote.ts';

/** One file of a list; it may be read more than once. */
export type ListPart = () => Iterable<Uint8Array>;

export interface Evidence {
  readonly list: readonly ListPart[];
  /** Values that were read beside the list; whoever read them vouches for them unless a quote does. */
  readonly registers: Registers;
  readonly quote: QuoteEvidence | null;
  readonly eventlog: Uint8Array | null;
  readonly policy: AttestPolicy;
  readonly last: Visit | null;
}

export interface ListSummary {
  readonly records: number;
  readonly violations: number;
  /** Records that every register in question vouches for; null when no register was in question. */
  readonly vouched: number | null;
  readonly registers: readonly RegisterOutcome[];
}

export interface AttestReport {
  readonly verdict: 'trusted' | 'untrusted';
  readonly findings: readonly Finding[];
  /** Findings of each code, also those that are not listed. */
  readonly counts: ReadonlyMap<string, number>;
  readonly list: ListSummary;
  readonly eventlog: { readonly events: number; readonly registers: Registers } | null;
  /** What to remember for the next visit. */
  readonly visit: Visit;
}

const IMA_PCR = 10;
const PEEK = 65536;
/** Registers that boot_aggregate may be about. */
const BOOT_PCRS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/** Gives every record of all parts in order; throws UnreadableError. */
export function readList(parts: readonly ListPart[], visit: (record: ListRecord) => void, from = 0): number {
  let index = from;
  for (const [part, open] of parts.entries()) {
    let reader: BinaryListReader | AsciiListReader | null = null;
    for (const piece of open()) {
      if (piece.length === 0) continue;
      reader ??= looksAscii(piece) ? new AsciiListReader(part, index) : new BinaryListReader(part, index);
      const problem = reader.feed(piece, visit);
      if (problem !== null) throw new UnreadableError(problem);
    }
    if (reader === null) continue;
    const problem = reader.end(visit);
    if (problem !== null) throw new UnreadableError(problem);
    index = reader.count;
  }
  return index;
}

/** The first record of a list; null for an empty one. */
function firstRecord(parts: readonly ListPart[]): ListRecord | null {
  for (const open of parts) {
    for (const piece of open()) {
      const head = piece.subarray(0, PEEK);
      const reader = looksAscii(head) ? new AsciiListReader(0, 0) : new BinaryListReader(0, 0);
      let first: ListRecord | null = null;
      const note = (record: ListRecord): void => {
        first ??= record;
      };
      if (reader.feed(head, note) === null && first === null) reader.end(note);
      if (first !== null) return first;
      break;
    }
  }
  return null;
}

class Verification {
  readonly out = new Findings();
  readonly evidence: Evidence;
  readonly policy: RunPolicy;
  readonly log: EventLog | null;
  readonly firmware: Registers;
  readonly quote: CheckedQuote | null;
  readonly own: HashName | null;
  readonly first: ListRecord | null;
  /** Set when the list goes on where the last visit ended. */
  readonly resumed: ListVisit | null;
  /** What the list is held against; found by the search when a quote came without values. */
  targets: Registers;
  violations = 0;
  records = 0;

  constructor(evidence: Evidence) {
    this.evidence = evidence;
    this.policy = { ...evidence.policy, keys: [...evidence.policy.keys] };
    this.quote = evidence.quote === null ? null : checkQuoteFiles(evidence.quote, evidence.last, this.out);
    this.log = evidence.eventlog === null ? null : readEventLog(evidence.eventlog);
    this.firmware = this.log === null ? new Map() : replayBanks(this.log);
    this.targets = evidence.registers;
    this.first = firstRecord(evidence.list);
    this.own = this.first === null ? null : bankOfSize(this.first.digest.length);
    this.resumed = this.#continues();
  }

  /** Whether the machine was reset since the last visit, as far as quotes tell. */
  get rebooted(): boolean {
    const before = this.evidence.last?.counters ?? null;
    return before !== null && this.quote !== null && this.quote.counters.resetCount !== before.resetCount;
  }

  #continues(): ListVisit | null {
    const list = this.evidence.last?.list ?? null;
    if (list === null || this.rebooted || this.first === null) return null;
    return toHex(this.first.digest) === list.first ? null : list;
  }

  get banks(): readonly HashName[] {
    const quoted = (this.quote?.quote.selections ?? []).flatMap((s) => (s.bank === null ? [] : [s.bank]));
    const named = [...new Set([...this.targets.keys(), ...quoted])];
    return named.length > 0 ? named : this.own === null ? [] : [this.own];
  }

  /** Registers before the first record: those of the last visit, else those of firmware. */
  get start(): Registers {
    return this.resumed === null ? this.firmware : this.resumed.registers;
  }

  replay(padded: ReadonlySet<HashName>, thorough: boolean): ListReplay {
    const { banks, start, targets } = this;
    return new ListReplay({ banks, start, targets, padded, thorough });
  }

  /** Registers 0 to 9 at boot: the real ones where they are known, else those of the event log. */
  readonly boot: BootRegisters = (bank) => {
    const given = this.targets.get(bank);
    const complete = given !== undefined && BOOT_PCRS.every((i) => given.has(i));
    // Zeros in registers that nobody signed are what was not read, not what firmware left.
    const blank = this.quote === null && complete && BOOT_PCRS.every((i) => isZero(given.get(i) ?? EMPTY));
    if (complete && !blank) return given;
    const replayed = this.firmware.get(bank);
    if (replayed === undefined) return undefined;
    const size = replayed.values().next().value?.length ?? 0;
    return new Map(BOOT_PCRS.map((i) => [i, replayed.get(i) ?? new Uint8Array(size)]));
  };
}

function readEventLog(bytes: Uint8Array): EventLog {
  const log = decodeEventLog(bytes);
  if (log.problem !== null) {
    const record = log.events.length;
    throw new UnreadableError({
      artefact: 'eventlog',
      byte: log.problemAt ?? 0,
      record,
      message: log.problem,
    });
  }
  return log;
}

/** The list against what was remembered of it. */
class History {
  readonly #v: Verification;
  readonly #last: ListVisit | null;

  constructor(v: Verification) {
    this.#v = v;
    this.#last = v.rebooted || v.resumed !== null ? null : (v.evidence.last?.list ?? null);
  }

  /** Called after each record. */
  after(record: ListRecord, replay: ListReplay): void {
    const last = this.#last;
    if (last === null || record.index !== last.records - 1) return;
    for (const [bank, pcrs] of last.registers) {
      for (const [pcr, value] of pcrs) {
        const now = replay.value(bank, pcr);
        if (now === undefined || toHex(now) === toHex(value)) continue;
        const place: Place = { artefact: 'list', part: record.part, record: record.index, byte: record.byte };
        const message = `at the last visit ${registerName(bank, pcr)} was ${shortHex(value)} after this record`;
        this.#v.out.add('fail', 'attest.list_history', place, `${message}: records before it were changed`);
        return;
      }
    }
  }

  end(records: number): void {
    const last = this.#last;
    if (last === null || records >= last.records) return;
    const place: Place = { artefact: 'list', record: records, byte: null };
    const message = `the list has ${records} records, at the last visit it had ${last.records}`;
    this.#v.out.add('fail', 'attest.list_history', place, message);
  }
}

/** First reading: policy, search for the quoted registers, replay. */
function firstPass(v: Verification, search: QuoteSearch | null): ListReplay {
  const ownBound = v.own !== null && v.targets.has(v.own) && [...v.targets.keys()].some((b) => b !== v.own);
  const replay = v.replay(new Set(), !ownBound);
  const history = new History(v);
  const value = (bank: HashName, pcr: number): Uint8Array | undefined => replay.value(bank, pcr);
  search?.try(value);
  v.records = readList(
    v.evidence.list,
    (record) => {
      if (!replay.add(record)) reportDigest(v, record);
      const before = v.out.counts.get('attest.violation') ?? 0;
      appraiseRecord(record, v.policy, v.boot, v.out);
      v.violations += (v.out.counts.get('attest.violation') ?? 0) - before;
      if (search?.concerns(record.pcr)) search.try(value);
      history.after(record, replay);
    },
    v.resumed?.records ?? 0,
  );
  history.end(v.records);
  return replay;
}

function reportDigest(v: Verification, record: ListRecord): void {
  const place: Place = { artefact: 'list', part: record.part, record: record.index, byte: record.byte + 4 };
  const message = `record ${record.index}: the template digest ${shortHex(record.digest)} is not that of its data`;
  v.out.add('fail', 'attest.record_digest', place, message);
}

/** Reads the list again with every digest computed, and with padded banks where `padded` says so. */
function thoroughPass(v: Verification, padded: ReadonlySet<HashName>, report: boolean): ListReplay {
  const replay = v.replay(padded, true);
  readList(
    v.evidence.list,
    (record) => {
      if (!replay.add(record) && report) reportDigest(v, record);
    },
    v.resumed?.records ?? 0,
  );
  return replay;
}

const lost = (o: RegisterOutcome): boolean => o.target !== null && o.matched === null;

/** What the replay says of each register that was in question. */
function judgeOutcomes(
  v: Verification,
  outcomes: readonly RegisterOutcome[],
  counted: number,
): number | null {
  let vouched: number | null = null;
  const base = v.resumed?.records ?? 0;
  for (const o of outcomes) {
    if (o.target === null) continue;
    const name = registerName(o.bank, o.pcr);
    const end: Place = { artefact: 'list', record: counted === 0 ? null : base + counted - 1, byte: null };
    if (o.matched === null || (o.matched === 0 && counted > 0)) {
      vouched = 0;
      const lead = `${name} is ${shortHex(o.target)}, the list leads to ${shortHex(o.value)}`;
      v.out.add('fail', 'attest.list_replay', end, `${lead}; no part of it from the start leads there`);
      continue;
    }
    vouched = Math.min(vouched ?? counted, o.matched);
    if (o.matched === counted) continue;
    const place: Place = { artefact: 'list', record: base + o.matched, byte: null };
    const rest = `${counted - o.matched} records follow`;
    v.out.add(
      'warn',
      'attest.list_longer',
      place,
      `${name} has its value after ${o.matched} records; ${rest}`,
    );
  }
  return vouched;
}

/** Registers that list records go into must be among the quoted ones. */
function checkSelection(v: Verification, outcomes: readonly RegisterOutcome[]): void {
  if (v.quote === null) return;
  const { quote } = v.quote;
  const touched = new Set([IMA_PCR, ...outcomes.map((o) => o.pcr)]);
  for (const pcr of touched) {
    if (quote.selections.some((s) => s.pcrs.includes(pcr))) continue;
    const place: Place = { artefact: 'quote', record: null, byte: quote.at.select };
    const selected = selectionText(quote.selections);
    v.out.add('fail', 'attest.quote_selection', place, `PCR ${pcr} is not quoted (${selected})`);
  }
}

function checkGolden(v: Verification): void {
  for (const [bank, pcrs] of v.policy.registers) {
    for (const [pcr, allowed] of pcrs) {
      const value = v.targets.get(bank)?.get(pcr);
      const place: Place = { artefact: 'registers', record: null, byte: null };
      const name = registerName(bank, pcr);
      if (value === undefined)
        v.out.add(
          'fail',
          'attest.register_golden',
          place,
          `${name} is in the policy, its value was not given`,
        );
      else if (!hasDigest(allowed, bank, toHex(value)))
        v.out.add('fail', 'attest.register_golden', place, `${name} is ${shortHex(value)}`);
    }
  }
}

function checkRequired(v: Verification): void {
  const { evidence: e, policy, out } = v;
  const place: Place = { artefact: 'policy', record: null, byte: null };
  const have = {
    quote: e.quote !== null,
    nonce: e.quote?.nonce != null,
    registers: e.registers.size > 0,
    eventlog: e.eventlog !== null,
  };
  for (const need of policy.require)
    if (!have[need]) out.add('fail', 'attest.required', place, `the policy demands: ${need}`);
  const nowhere: Place = { artefact: 'list', record: null, byte: null };
  if (!have.quote && !have.registers)
    out.add('warn', 'attest.unanchored', nowhere, 'no quote and no registers: nothing vouches for the list');
  else if (!have.quote)
    out.add(
      'note',
      'attest.unauthenticated',
      nowhere,
      'no quote: whoever read the registers vouches for them',
    );
}

function visitOf(v: Verification, replay: ListReplay): Visit {
  const registers = new Map<HashName, ReadonlyMap<number, Uint8Array>>();
  for (const o of replay.outcomes([])) {
    if (!isHashName(o.bank)) continue;
    registers.set(o.bank, new Map([...(registers.get(o.bank) ?? []), [o.pcr, o.value]]));
  }
  const first = v.resumed?.first ?? (v.first === null ? '' : toHex(v.first.digest));
  return {
    key: v.quote?.key ?? v.evidence.last?.key ?? null,
    counters: v.quote?.counters ?? v.evidence.last?.counters ?? null,
    list: { records: v.records, first, registers },
  };
}

/** Decides what the quoted registers are, before the list is held against them. */
function settleQuote(v: Verification): QuoteSearch | null {
  if (v.quote === null) return null;
  if (coversQuote(v.targets, v.quote.quote)) {
    checkQuotedDigest(v.quote, v.targets, v.out);
    return null;
  }
  return new QuoteSearch(v.quote, { given: v.targets, firmware: v.firmware });
}

/** The values behind the quote, once the list was read. */
function settleSearch(v: Verification, search: QuoteSearch, replay: ListReplay): ListReplay {
  const { quote } = v.quote as CheckedQuote;
  if (search.found === null) {
    const place: Place = { artefact: 'quote', record: null, byte: quote.at.digest };
    const selected = selectionText(quote.selections);
    const message = `no part of the list, with event log and registers, leads to the quoted digest (${selected})`;
    v.out.add('fail', 'attest.quote_digest', place, message);
    return replay;
  }
  const merged = new Map(v.targets);
  for (const [bank, pcrs] of search.found) merged.set(bank, new Map([...(merged.get(bank) ?? []), ...pcrs]));
  v.targets = merged;
  return thoroughPass(v, new Set(), false);
}

/** Verifies everything that was given; throws UnreadableError for an artefact that cannot be read. */
export function verify(evidence: Evidence): AttestReport {
  const v = new Verification(evidence);
  if (v.log !== null) checkEventRecords(v.log, v.out);
  const search = settleQuote(v);
  let replay = firstPass(v, search);
  if (search !== null) replay = settleSearch(v, search, replay);
  const counted = v.records - (v.resumed?.records ?? 0);
  let outcomes = replay.outcomes([IMA_PCR]);
  const others = new Set(outcomes.filter((o) => lost(o) && o.bank !== v.own).map((o) => o.bank));
  if (outcomes.some(lost) && counted > 0) {
    const padded = thoroughPass(v, others, !v.out.counts.has('attest.record_digest'));
    for (const bank of others) {
      const now = padded.outcomes([IMA_PCR]).filter((o) => o.bank === bank);
      if (now.some(lost)) continue;
      outcomes = [...outcomes.filter((o) => o.bank !== bank), ...now];
      const place: Place = { artefact: 'list', record: null, byte: null };
      v.out.add('note', 'attest.list_padded', place, `the ${bank} bank holds padded sha1 digests`);
    }
  }
  const vouched = judgeOutcomes(v, outcomes, counted);
  checkSelection(v, outcomes);
  const ofList = new Set(outcomes.filter((o) => o.pcr >= IMA_PCR).map((o) => o.pcr));
  if (v.log !== null) checkEventLog(v.log, v.firmware, v.targets, ofList, v.out);
  checkBootPolicy(v.log, v.policy, v.out);
  checkGolden(v);
  checkRequired(v);
  return {
    verdict: v.out.failed ? 'untrusted' : 'trusted',
    findings: v.out.list,
    counts: v.out.counts,
    list: { records: v.records, violations: v.violations, vouched, registers: outcomes },
    eventlog: v.log === null ? null : { events: v.log.events.length, registers: v.firmware },
    visit: visitOf(v, replay),
  };
}
