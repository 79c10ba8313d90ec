// A decoder for BER as the kernel's: a grammar is matched in order, actions are called as elements are met,
// the first error ends it. Accepted as there: indefinite lengths, lengths in more bytes than needed (two at
// most), trailing bytes after the outermost element. Left out: the limit of ten nested elements, which no
// grammar here reaches.

import type { Err } from '../base/errno.ts';

/** What an action is told of: the content, and where it stands in the input. */
export interface BerPosition {
  /** Tag byte of the element that was read last. */
  readonly tag: number;
  /** Length of the header before the content. */
  readonly headerLength: number;
  /** Offset of the content in `input`. */
  readonly offset: number;
  readonly input: Uint8Array;
}

export type BerAction<C> = (context: C, value: Uint8Array, position: BerPosition) => Err;

/** A node of a grammar. */
export interface Element<C> {
  readonly kind: 'leaf' | 'any' | 'sequence' | 'of' | 'choice' | 'complete';
  /**
   * Tag byte; where the grammar says constructed, an element without that bit is taken too, but not the
   * reverse.
   */
  readonly tag: number;
  readonly children: readonly Element<C>[];
  readonly action: BerAction<C> | null;
  readonly optional: boolean;
}

function element<C>(
  kind: Element<C>['kind'],
  tag: number,
  children: readonly Element<C>[],
  action: BerAction<C> | null,
): Element<C> {
  return { kind, tag, children, action, optional: false };
}

/** An element that is not looked into. */
export const leaf = <C>(tag: number, action: BerAction<C> | null = null): Element<C> =>
  element('leaf', tag, [], action);
export const integer = <C>(action: BerAction<C> | null = null): Element<C> => leaf(0x02, action);
export const objectIdentifier = <C>(action: BerAction<C> | null = null): Element<C> => leaf(0x06, action);
/** Whatever comes. */
export const any = <C>(action: BerAction<C> | null = null): Element<C> => element('any', 0, [], action);
/** SEQUENCE with these members in order. */
export const sequence = <C>(
  children: readonly Element<C>[],
  action: BerAction<C> | null = null,
): Element<C> => element('sequence', 0x30, children, action);
export const sequenceOf = <C>(child: Element<C>, action: BerAction<C> | null = null): Element<C> =>
  element('of', 0x30, [child], action);
export const setOf = <C>(child: Element<C>, action: BerAction<C> | null = null): Element<C> =>
  element('of', 0x31, [child], action);
/** OPTIONAL: skipped where the next tag is another, or nothing follows. */
export const optional = <C>(e: Element<C>): Element<C> => {
  const children = e.kind === 'complete' ? e.children.map((c) => optional(c)) : e.children;
  return { ...e, children, optional: true };
};
export const choice = <C>(...children: readonly Element<C>[]): Element<C> =>
  element('choice', 0, children.map(optional), null);
/** A second action, called when the element is complete. */
export const complete = <C>(e: Element<C>, action: BerAction<C>): Element<C> => ({
  ...element('complete', 0, [e], action),
  optional: e.optional,
});
/** [number] IMPLICIT. */
export const implicit = <C>(number: number, e: Element<C>): Element<C> => {
  if (e.kind === 'complete') return { ...e, children: e.children.map((c) => implicit(number, c)) };
  return { ...e, tag: 0x80 | (e.tag & 0x20) | number };
};
/** [number] EXPLICIT. */
export const explicit = <C>(number: number, e: Element<C>): Element<C> =>
  element('sequence', 0xa0 | number, [e], null);

/** Longest input that the decoder takes. */
const MAX_LENGTH = 65535;
const MATCHED = 1;
const SKIPPED = 0;
type Step = typeof MATCHED | typeof SKIPPED | Exclude<Err, 0>;

class Decoder<C> {
  readonly #context: C;
  readonly #data: Uint8Array;
  /** Cursor and end of the innermost element. */
  #at = 0;
  #end: number;
  #tag = 0;
  #headerLength = 0;
  #contentAt = 0;
  #contentLength = 0;

  constructor(context: C, data: Uint8Array) {
    this.#context = context;
    this.#data = data;
    this.#end = data.length;
  }

  #byte(at: number): number {
    return this.#data[at] as number;
  }

  #act(action: BerAction<C> | null): Step {
    if (action === null) return MATCHED;
    const value = this.#data.subarray(this.#contentAt, this.#contentAt + this.#contentLength);
    const err = action(this.#context, value, {
      tag: this.#tag,
      headerLength: this.#headerLength,
      offset: this.#contentAt,
      input: this.#data,
    });
    return err === 0 ? MATCHED : err;
  }

  match(e: Element<C>): Step {
    if (e.kind === 'choice') return this.#choice(e);
    if (e.kind === 'complete') {
      const step = this.match(e.children[0] as Element<C>);
      return step === MATCHED ? this.#act(e.action) : step;
    }
    if (this.#at === this.#end && e.optional) return SKIPPED;
    if (this.#end - this.#at < 2) return 'EBADMSG';
    const tag = this.#byte(this.#at);
    if ((tag & 0x1f) === 0x1f) return 'EBADMSG';
    if (e.kind !== 'any' && ((e.tag ^ tag) & ~(e.tag & 0x20)) !== 0) return e.optional ? SKIPPED : 'EBADMSG';
    this.#tag = tag;
    this.#at++;
    const indefinite = this.#byte(this.#at) === 0x80;
    const length = this.#length(tag);
    if (length < 0) return 'EBADMSG';
    if (e.kind === 'sequence' || e.kind === 'of') return this.#constructed(e, length, indefinite);
    return this.#leaf(e, length, indefinite);
  }

  #choice(e: Element<C>): Step {
    for (const child of e.children) {
      const step = this.match(child);
      if (step !== SKIPPED) return step;
    }
    return e.optional ? SKIPPED : 'EBADMSG';
  }

  /** Reads a length and sets the header's; -1 where it is unsupported or leads past the end. */
  #length(tag: number): number {
    this.#headerLength = 2;
    let length = this.#byte(this.#at++);
    if (length === 0x80) return (tag & 0x20) === 0 || this.#end - this.#at < 2 ? -1 : 0;
    if (length > 0x80) {
      const n = length - 0x80;
      if (n > 2 || n > this.#end - this.#at) return -1;
      this.#headerLength += n;
      length = 0;
      for (let i = 0; i < n; i++) length = (length << 8) | this.#byte(this.#at++);
    }
    return length > this.#end - this.#at ? -1 : length;
  }

  #leaf(e: Element<C>, length: number, indefinite: boolean): Step {
    const start = this.#at;
    const next = indefinite ? this.#skipIndefinite(start) : start + length;
    if (next < 0) return 'EBADMSG';
    this.#contentAt = start;
    this.#contentLength = next - start;
    const step = this.#act(e.action);
    this.#at = next;
    return step;
  }

  /**
   * Offset after the end-of-contents that closes an indefinite element whose content begins at `from`; -1:
   * none.
   */
  #skipIndefinite(from: number): number {
    let at = from;
    for (let level = 1; level > 0; ) {
      if (this.#end - at < 2) return -1;
      const tag = this.#byte(at++);
      if (tag === 0) {
        if (this.#byte(at++) !== 0) return -1;
        level--;
        continue;
      }
      if ((tag & 0x1f) === 0x1f) {
        do if (this.#end - at < 2) return -1;
        while (this.#byte(at++) & 0x80);
      }
      let length = this.#byte(at++);
      if (length === 0x80) {
        if ((tag & 0x20) === 0) return -1;
        level++;
        continue;
      }
      if (length > 0x80) {
        const n = length - 0x80;
        if (n > 7 || n > this.#end - at) return -1;
        length = 0;
        for (let i = 0; i < n; i++) length = length * 256 + this.#byte(at++);
      }
      if (length > this.#end - at) return -1;
      at += length;
    }
    return at;
  }

  #constructed(e: Element<C>, length: number, indefinite: boolean): Step {
    const start = this.#at;
    const headerLength = this.#headerLength;
    const outerEnd = this.#end;
    if (!indefinite) this.#end = start + length;
    for (;;) {
      for (const child of e.children) {
        const step = this.match(child);
        if (step !== MATCHED && step !== SKIPPED) return step;
      }
      if (indefinite) {
        if (this.#end - this.#at < 2) return 'EBADMSG';
        if (this.#byte(this.#at) === 0) break;
      } else if (this.#at >= this.#end) break;
      if (e.kind !== 'of') return 'EBADMSG';
    }
    if (indefinite) {
      if (this.#byte(this.#at + 1) !== 0) return 'EBADMSG';
      this.#at += 2;
    } else if (this.#at !== this.#end) return 'EBADMSG';
    this.#end = outerEnd;
    this.#headerLength = headerLength;
    this.#contentAt = start;
    this.#contentLength = indefinite ? this.#at - start - 2 : length;
    return this.#act(e.action);
  }
}

/**
 * Matches the input against a grammar; the first error is the answer.
 * @kernel lib/asn1_decoder.c asn1_ber_decoder()
 */
export function berDecode<C>(grammar: Element<C>, context: C, input: Uint8Array): Err {
  if (input.length > MAX_LENGTH) return 'EMSGSIZE';
  const step = new Decoder(context, input).match(grammar);
  return step === MATCHED || step === SKIPPED ? 0 : step;
}
