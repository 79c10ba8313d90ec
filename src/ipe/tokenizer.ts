// Lines and words of an IPE policy text, with their places. The kernel's parser (parser.ts) and the linter
// both stand on it, so that they cannot disagree about where a word ends. Text has one character per byte.

export interface IpeWord {
  readonly text: string;
  /** Offset in the policy text. */
  readonly offset: number;
}

export interface IpeLine {
  /** From 1; both LF and CR end a line, so CRLF makes an empty one between. */
  readonly number: number;
  readonly offset: number;
  /** Never empty: lines without a word are left out. */
  readonly words: readonly IpeWord[];
}

/** isspace() of the kernel's Latin-1 ctype table: also vertical tab, form feed and byte 0xA0. */
function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d) || code === 0xa0;
}

function wordsOf(line: string, offset: number): IpeWord[] {
  const words: IpeWord[] = [];
  let start = -1;
  for (let i = 0; i <= line.length; i++) {
    const separator = i === line.length || line[i] === ' ' || line[i] === '\t';
    if (!separator && start < 0) start = i;
    if (separator && start >= 0) {
      words.push({ text: line.slice(start, i), offset: offset + start });
      start = -1;
    }
  }
  return words;
}

/**
 * Splits a text as the kernel does: a NUL ends it, `#` cuts the rest of its line, white space at the end of
 * a line goes.
 * @kernel security/ipe/policy_parser.c ipe_parse_policy(), remove_comment(), remove_trailing_spaces()
 */
export function ipeLines(text: string): IpeLine[] {
  const nul = text.indexOf('\0');
  const end = nul < 0 ? text.length : nul;
  const lines: IpeLine[] = [];
  let number = 1;
  let start = 0;
  for (let i = 0; i <= end; i++) {
    if (i < end && text[i] !== '\n' && text[i] !== '\r') continue;
    const comment = text.indexOf('#', start);
    let stop = comment >= 0 && comment < i ? comment : i;
    while (stop > start && isSpace(text.charCodeAt(stop - 1))) stop--;
    if (stop > start) lines.push({ number, offset: start, words: wordsOf(text.slice(start, stop), start) });
    number += 1;
    start = i + 1;
  }
  return lines;
}
