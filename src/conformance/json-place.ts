// Finds where a text stops being JSON: engines word their messages differently and not all of them name
// the place.

const SPACE = /[\t\n\r ]*/y;
const SCALAR =
  /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

class Scanner {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  #match(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.#text);
    if (found === null) return false;
    this.at += found[0].length;
    return true;
  }

  /** Takes one character, spaces before it included. */
  #take(c: string): boolean {
    this.#match(SPACE);
    if (this.#text[this.at] !== c) return false;
    this.at++;
    return true;
  }

  #members(close: string, member: () => boolean): boolean {
    if (this.#take(close)) return true;
    do {
      if (!member()) return false;
    } while (this.#take(','));
    return this.#take(close);
  }

  #key(): boolean {
    this.#match(SPACE);
    return this.#text[this.at] === '"' && this.#match(SCALAR) && this.#take(':') && this.value();
  }

  value(): boolean {
    if (this.#take('{')) return this.#members('}', () => this.#key());
    if (this.#take('[')) return this.#members(']', () => this.value());
    return this.#match(SCALAR);
  }

  end(): boolean {
    this.#match(SPACE);
    return this.at === this.#text.length;
  }
}

/**
 * Offset of the first character that cannot stand where it stands; the text's length when it ends too early.
 */
export function jsonErrorOffset(text: string): number {
  const scanner = new Scanner(text);
  if (scanner.value()) scanner.end();
  return scanner.at;
}
