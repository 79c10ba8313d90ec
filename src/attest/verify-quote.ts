// The part of a verification that is about the quote: signature, key, nonce, counters against the last visit,
// and the search for the register values behind a quoted digest.

import { concat, equalBytes, toHex } from '../base/bytes.ts';
import { exportSpki } from '../crypto/keys.ts';
import { crypto, digestSize, type HashName } from '../crypto/provider.ts';
import type { Registers } from './eventlog.ts';
import {
  type AttestationKey,
  isRestrictedSigner,
  type PcrSelection,
  type Quote,
  readAttestationKey,
  readQuote,
  selectionText,
  verifyQuoteSignature,
} from './quote.ts';
import type { Counters, Visit } from './state.ts';
import type { Findings, Place } from './verdict.ts';

/** The files of a quote; signature, key and nonce may be missing, which is a finding. */
export interface QuoteEvidence {
  readonly quote: Uint8Array;
  readonly signature: Uint8Array | null;
  readonly ak: Uint8Array | null;
  readonly nonce: Uint8Array | null;
}

export interface CheckedQuote {
  readonly quote: Quote;
  /** Hash of the quoted digest: that of the signature. */
  readonly hash: HashName;
  readonly key: string | null;
  readonly counters: Counters;
}

const at = (byte: number | null): Place => ({ artefact: 'quote', record: null, byte });

function fingerprint(ak: AttestationKey): string {
  return toHex(ak.name ?? crypto().hash('sha256', exportSpki(ak.key)));
}

/** The hash whose digests are as long as the quoted one. */
function hashOfDigest(digest: Uint8Array): HashName {
  return (
    (['sha256', 'sha1', 'sha384', 'sha512'] as const).find((h) => digestSize(h) === digest.length) ?? 'sha256'
  );
}

function checkSignature(
  evidence: QuoteEvidence,
  quote: Quote,
  out: Findings,
): { hash: HashName; key: string | null } {
  const guess = hashOfDigest(quote.pcrDigest);
  if (evidence.ak === null || evidence.signature === null) {
    const missing = evidence.ak === null ? 'attestation key' : 'signature';
    out.add('fail', 'attest.quote_signature', at(null), `no ${missing} was given: the quote proves nothing`);
    return { hash: guess, key: null };
  }
  const ak = readAttestationKey(evidence.ak);
  const key = fingerprint(ak);
  const answer = verifyQuoteSignature(ak, quote.octets, evidence.signature);
  if (!answer.ok) {
    const place: Place = { artefact: 'signature', record: null, byte: 0 };
    out.add('fail', 'attest.quote_signature', place, `the signature is not good: ${answer.why}`);
  }
  if (ak.attributes !== null && !isRestrictedSigner(ak.attributes)) {
    const place: Place = { artefact: 'ak', record: null, byte: null };
    const attributes = `0x${ak.attributes.toString(16)}`;
    out.add(
      'fail',
      'attest.key_not_restricted',
      place,
      `the key's attributes are ${attributes}: not a restricted, fixed signing key`,
    );
  }
  return { hash: answer.ok ? answer.hash : guess, key };
}

function checkNonce(nonce: Uint8Array | null, quote: Quote, out: Findings): void {
  if (nonce === null)
    out.add(
      'warn',
      'attest.nonce_unchecked',
      at(quote.at.nonce),
      'no nonce was given: the quote may be an old one',
    );
  else if (!equalBytes(nonce, quote.nonce))
    out.add(
      'fail',
      'attest.nonce',
      at(quote.at.nonce),
      `the quote is for ${toHex(quote.nonce)}, not for ${toHex(nonce)}`,
    );
}

/** @tcg Part 1, 36 Clock, resetCount, restartCount */
function checkCounters(now: Counters, key: string | null, last: Visit, quote: Quote, out: Findings): void {
  const place = at(quote.at.clock);
  if (last.key !== null && key !== null && last.key !== key) {
    const where: Place = { artefact: 'ak', record: null, byte: null };
    out.add(
      'fail',
      'attest.other_key',
      where,
      'the key is not the one of the last visit: another TPM, or a new key',
    );
    return;
  }
  const before = last.counters;
  if (before === null) return;
  const change = (name: string, a: unknown, b: unknown): string =>
    `${name} was ${String(a)} and is ${String(b)}`;
  if (now.firmwareVersion !== before.firmwareVersion)
    out.add(
      'warn',
      'attest.firmware_version',
      place,
      change('firmwareVersion', before.firmwareVersion, now.firmwareVersion),
    );
  if (now.resetCount < before.resetCount)
    out.add('fail', 'attest.reset_count', place, change('resetCount', before.resetCount, now.resetCount));
  else if (now.clock < before.clock)
    out.add('fail', 'attest.clock', place, change('clock', before.clock, now.clock));
  else if (now.resetCount > before.resetCount)
    out.add('note', 'attest.rebooted', place, change('resetCount', before.resetCount, now.resetCount));
  else if (now.restartCount < before.restartCount)
    out.add(
      'fail',
      'attest.reset_count',
      place,
      change('restartCount', before.restartCount, now.restartCount),
    );
  else if (now.restartCount > before.restartCount)
    out.add('note', 'attest.restarted', place, change('restartCount', before.restartCount, now.restartCount));
}

/** Everything about a quote but its register digest; null when it attests something else. */
export function checkQuoteFiles(
  evidence: QuoteEvidence,
  last: Visit | null,
  out: Findings,
): CheckedQuote | null {
  const quote = readQuote(evidence.quote);
  if (!quote.isQuote) {
    out.add('fail', 'attest.quote_type', at(4), 'the structure attests something else than registers');
    return null;
  }
  const { hash, key } = checkSignature(evidence, quote, out);
  checkNonce(evidence.nonce, quote, out);
  const { clock, resetCount, restartCount, firmwareVersion } = quote;
  const counters = { clock, resetCount, restartCount, firmwareVersion };
  if (last !== null) checkCounters(counters, key, last, quote, out);
  return { quote, hash, key, counters };
}

/** A register that nothing extended. @tcg Part 1, 17.5 PCR initialisation */
function resetValue(bank: HashName, pcr: number): Uint8Array {
  return new Uint8Array(digestSize(bank)).fill(pcr >= 17 && pcr <= 22 ? 0xff : 0);
}

/** Where values of quoted registers come from, in the order of preference. */
export interface ValueSources {
  readonly given: Registers;
  readonly firmware: Registers;
}

type Value = (bank: HashName, pcr: number) => Uint8Array | undefined;

/** Digest over the selected registers, null when a bank is not known. */
function selectedDigest(
  hash: HashName,
  selections: readonly PcrSelection[],
  value: Value,
): Uint8Array | null {
  const parts: Uint8Array[] = [];
  for (const { bank, pcrs } of selections) {
    if (bank === null) return null;
    for (const pcr of pcrs) parts.push(value(bank, pcr) ?? resetValue(bank, pcr));
  }
  return crypto().hash(hash, concat(...parts));
}

/** Whether every quoted register was given. */
export function coversQuote(given: Registers, quote: Quote): boolean {
  return quote.selections.every(
    (s) => s.bank !== null && s.pcrs.every((p) => given.get(s.bank as HashName)?.has(p) === true),
  );
}

/** Given registers against the quoted digest. @tcg Part 2, 10.12.1 TPMS_QUOTE_INFO */
export function checkQuotedDigest(checked: CheckedQuote, given: Registers, out: Findings): boolean {
  const { quote, hash } = checked;
  const digest = selectedDigest(hash, quote.selections, (bank, pcr) => given.get(bank)?.get(pcr));
  if (digest !== null && equalBytes(digest, quote.pcrDigest)) return true;
  const selected = selectionText(quote.selections);
  out.add(
    'fail',
    'attest.quote_digest',
    at(quote.at.digest),
    `the registers given are not the quoted ones (${selected})`,
  );
  return false;
}

/** Looks for the record after which list and firmware together give the quoted digest. */
export class QuoteSearch {
  readonly #checked: CheckedQuote;
  readonly #sources: ValueSources;
  /** Registers at the match; the last match counts. */
  found: Registers | null = null;

  constructor(checked: CheckedQuote, sources: ValueSources) {
    this.#checked = checked;
    this.#sources = sources;
  }

  /** Whether a record in this register can change the digest. */
  concerns(pcr: number): boolean {
    return this.#checked.quote.selections.some((s) => s.pcrs.includes(pcr));
  }

  #value(list: Value): Value {
    const { given, firmware } = this.#sources;
    return (bank, pcr) => given.get(bank)?.get(pcr) ?? list(bank, pcr) ?? firmware.get(bank)?.get(pcr);
  }

  try(list: Value): void {
    const { quote, hash } = this.#checked;
    const value = this.#value(list);
    const digest = selectedDigest(hash, quote.selections, value);
    if (digest === null || !equalBytes(digest, quote.pcrDigest)) return;
    this.found = new Map(
      quote.selections.flatMap(({ bank, pcrs }) => {
        if (bank === null) return [];
        return [
          [bank, new Map(pcrs.map((pcr) => [pcr, value(bank, pcr) ?? resetValue(bank, pcr)]))] as const,
        ];
      }),
    );
  }
}
