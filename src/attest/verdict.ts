// The form of an answer: findings, each with its artefact, record and byte, and the verdict that follows.
// Their number is bounded: a list of a million bad records gives the first ones and a count.

import type { AttestCode } from './reasons.ts';

export type FindingLevel = 'fail' | 'warn' | 'note';

export type Artefact = 'quote' | 'signature' | 'ak' | 'registers' | 'eventlog' | 'list' | 'policy' | 'state';

/** Where in an artefact; counts from 0. Null where a finding is about the whole. */
export interface Place {
  readonly artefact: Artefact;
  /** File of a list in several files, from 0. */
  readonly part?: number;
  readonly record: number | null;
  readonly byte: number | null;
}

export interface Finding extends Place {
  readonly level: FindingLevel;
  readonly code: AttestCode;
  /** One line with the values in question. */
  readonly message: string;
}

const KEPT = 1000;

/** Collects findings; only the first of each code are kept, all are counted. */
export class Findings {
  readonly list: Finding[] = [];
  readonly counts = new Map<AttestCode, number>();
  failed = false;

  add(level: FindingLevel, code: AttestCode, place: Place, message: string): void {
    const count = (this.counts.get(code) ?? 0) + 1;
    this.counts.set(code, count);
    if (level === 'fail') this.failed = true;
    if (count <= KEPT) this.list.push({ level, code, message, ...place });
  }
}

/** An artefact that cannot be read at all, with the byte where reading stopped. */
export interface Unreadable {
  readonly artefact: Artefact;
  readonly part?: number;
  readonly byte: number;
  readonly record: number | null;
  readonly message: string;
}

/** Thrown by readers of artefacts; ends a verification without a verdict. */
export class UnreadableError extends Error {
  readonly what: Unreadable;

  constructor(what: Unreadable) {
    super(what.message);
    this.what = what;
  }
}
