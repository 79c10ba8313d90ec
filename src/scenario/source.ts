// YAML text to a plain value with the place of every key and value. Guards against texts that are made to
// exhaust memory: size, number of tokens, nesting and alias expansion are limited before anything is built.
// One document, YAML 1.2 core schema, no custom tags, no merge keys, unique keys.

import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  type Pair,
  type ParsedNode,
  parseDocument,
  type YAMLError,
} from 'yaml';
import { type Diagnostic, LineIndex } from '../base/diagnostic.ts';

export const SOURCE_LIMITS = {
  /** UTF-16 units of the text; a larger content belongs into a file of its own or into `repeat`. */
  length: 4 * 1024 * 1024,
  tokens: 200_000,
  depth: 64,
  /** Values after expansion of aliases. */
  values: 200_000,
} as const;

/** Half-open range of offsets. */
export type Span = readonly [start: number, end: number];

interface Place {
  readonly value: Span;
  readonly key: Span | null;
}

/** Step of a path: member name or index. */
export type PathStep = string | number;

/** A parsed text: its value and where each part stands. */
export class Source {
  readonly name: string;
  readonly lines: LineIndex;
  readonly value: unknown;
  readonly #places: ReadonlyMap<string, Place>;

  constructor(name: string, lines: LineIndex, value: unknown, places: ReadonlyMap<string, Place>) {
    this.name = name;
    this.lines = lines;
    this.value = value;
    this.#places = places;
  }

  /** Span of the value at a path, or of its nearest ancestor that exists. */
  span(path: readonly PathStep[]): Span {
    for (let n = path.length; n >= 0; n--) {
      const place = this.#places.get(pointer(path.slice(0, n)));
      if (place !== undefined) return place.value;
    }
    return [0, 1];
  }

  /** Span of the key that names a member; the value's span where there is none. */
  keySpan(path: readonly PathStep[]): Span {
    return this.#places.get(pointer(path))?.key ?? this.span(path);
  }

  has(path: readonly PathStep[]): boolean {
    return this.#places.has(pointer(path));
  }

  diagnostic(span: Span, code: string, message: string, help: string | null = null): Diagnostic {
    return diagnosticAt(this.lines, span, code, message, help);
  }
}

export type SourceResult =
  /** `mistakes` do not hide the rest of the text: the schema is checked as well. */
  | { readonly ok: true; readonly source: Source; readonly mistakes: readonly Diagnostic[] }
  | { readonly ok: false; readonly lines: LineIndex; readonly diagnostics: readonly Diagnostic[] };

function pointer(path: readonly PathStep[]): string {
  return path.map((p) => String(p).replaceAll('~', '~0').replaceAll('/', '~1')).join('/');
}

function diagnosticAt(
  lines: LineIndex,
  span: Span,
  code: string,
  message: string,
  help: string | null,
): Diagnostic {
  const { line, column } = lines.position(span[0]);
  const rest = Math.max(1, lines.line(line).length - column + 1);
  const length = Math.max(1, Math.min(span[1] - span[0], rest));
  return { severity: 'error', line, column, length, code, message, help };
}

const TOO_LARGE_HELP =
  'a scenario is a text for people: keep large contents in files (`file:`) or write them as `repeat`';

/** Cheap look at the token stream, before any tree is built. */
function refuse(text: string, lines: LineIndex): Diagnostic | null {
  const at = (offset: number, code: string, message: string, help: string): Diagnostic =>
    diagnosticAt(lines, [offset, offset + 1], code, message, help);
  let tokens = 0;
  let depth = 0;
  let offset = 0;
  for (const token of new Lexer().lex(text)) {
    if (++tokens > SOURCE_LIMITS.tokens)
      return at(offset, 'yaml.too_many_tokens', `more than ${SOURCE_LIMITS.tokens} tokens`, TOO_LARGE_HELP);
    if (token === '[' || token === '{') depth++;
    else if (token === ']' || token === '}') depth--;
    if (depth > SOURCE_LIMITS.depth)
      return at(offset, 'yaml.too_deep', `nested deeper than ${SOURCE_LIMITS.depth}`, 'flatten the document');
    if (token !== '\u0002' && token !== '\u001f') offset += token.length;
  }
  return null;
}

const HELP: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'a key may stand only once in a map: remove or rename one of them',
  MULTIPLE_DOCS: 'one file holds one scenario: remove the `---` or split the file',
  TAB_AS_INDENT: 'indent with spaces',
  TAG_RESOLVE_FAILED: 'tags (`!name`) are not used in scenarios',
  BAD_ALIAS: 'an alias `*name` needs an anchor `&name` before it',
};

function fromYamlError(lines: LineIndex, error: YAMLError): Diagnostic {
  const message = (error.message.split(' at line ')[0] ?? error.message).split('\n')[0] ?? '';
  const text = message.charAt(0).toLowerCase() + message.slice(1);
  const named = error.code === 'MULTIPLE_DOCS' ? 'the file holds more than one YAML document' : text;
  const code = `yaml.${error.code.toLowerCase()}`;
  return diagnosticAt(lines, [error.pos[0], error.pos[1]], code, named, HELP[error.code] ?? null);
}

class Walk {
  readonly places = new Map<string, Place>();
  readonly diagnostics: Diagnostic[] = [];
  readonly #lines: LineIndex;
  readonly #anchors = new Map<string, Node>();
  readonly #open = new Set<Node>();
  #values = 0;
  #stopped = false;

  /** Whether the walk ended before the end of the document. */
  get stopped(): boolean {
    return this.#stopped;
  }

  constructor(lines: LineIndex) {
    this.#lines = lines;
  }

  #report(span: Span, code: string, message: string, help: string | null): undefined {
    this.diagnostics.push(diagnosticAt(this.#lines, span, code, message, help));
    return undefined;
  }

  /** Value of a node; `at` is where an alias stands when we are inside one. */
  value(node: Node | null, path: readonly PathStep[], key: Span | null, at: Span | null): unknown {
    if (this.#stopped) return undefined;
    const own: Span = node?.range ? [node.range[0], node.range[1]] : (key ?? [0, 1]);
    const span = at ?? own;
    this.places.set(pointer(path), { value: span, key });
    if (++this.#values > SOURCE_LIMITS.values) {
      this.#stopped = true;
      return this.#report(
        span,
        'yaml.alias_expansion',
        `the document expands to more than ${SOURCE_LIMITS.values} values`,
        'aliases (`*name`) repeat their anchor each time: write fewer of them',
      );
    }
    if (path.length > SOURCE_LIMITS.depth) {
      this.#stopped = true;
      return this.#report(
        span,
        'yaml.too_deep',
        `nested deeper than ${SOURCE_LIMITS.depth}`,
        'flatten the document',
      );
    }
    if (node === null) return null;
    if (isAlias(node)) return this.#alias(node.source, path, key, span);
    if ('anchor' in node && typeof node.anchor === 'string') this.#anchors.set(node.anchor, node);
    this.#open.add(node);
    const value = this.#plain(node, path, span, at);
    this.#open.delete(node);
    return value;
  }

  #alias(name: string, path: readonly PathStep[], key: Span | null, span: Span): unknown {
    const target = this.#anchors.get(name);
    if (target === undefined)
      return this.#report(span, 'yaml.bad_alias', `unknown alias \`*${name}\``, HELP.BAD_ALIAS ?? null);
    if (this.#open.has(target))
      return this.#report(
        span,
        'yaml.circular_alias',
        `alias \`*${name}\` stands inside its own anchor`,
        null,
      );
    return this.value(target, path, key, span);
  }

  #plain(node: Node, path: readonly PathStep[], span: Span, at: Span | null): unknown {
    if (isScalar(node)) return this.#scalar(node.value, node.source, span);
    if (isSeq(node)) return node.items.map((item, i) => this.value(item as Node, [...path, i], null, at));
    if (!isMap(node)) return this.#report(span, 'yaml.unsupported', 'unsupported YAML construct', null);
    const out: Record<string, unknown> = {};
    for (const pair of node.items as Pair<Node, Node | null>[]) {
      const keyNode = pair.key;
      const keySpan: Span = at ?? (keyNode?.range ? [keyNode.range[0], keyNode.range[1]] : span);
      if (!isScalar(keyNode)) {
        this.#report(keySpan, 'yaml.complex_key', 'a key must be a plain word', null);
        continue;
      }
      const name = keyText(keyNode.value, keyNode.source);
      if (name === '<<')
        this.#report(keySpan, 'yaml.merge_key', 'merge keys (`<<`) are not used in scenarios', null);
      const value = this.value(pair.value, [...path, name], keySpan, at);
      Object.defineProperty(out, name, { value, enumerable: true, configurable: true, writable: true });
    }
    return out;
  }

  #scalar(value: unknown, written: unknown, span: Span): unknown {
    if (typeof value === 'number' && typeof written === 'string' && /^[-+]?0\d+$/.test(written)) {
      const help = `put quotes around it: "${written}"`;
      this.#report(span, 'yaml.leading_zero', `\`${written}\` is read as ${value}`, help);
      // What the author meant, so that the schema has nothing more to say about it.
      return written;
    }
    if (typeof value === 'number' && (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER))
      return this.#report(
        span,
        'yaml.number_range',
        `the number ${value} is out of range`,
        'numbers go up to 2^53 - 1; put quotes around hexadecimal digits',
      );
    return value;
  }
}

/** Keys keep the way they are written: `10`, `0x0a` and `yes` stay what the author typed. */
function keyText(value: unknown, source: unknown): string {
  if (typeof value === 'string') return value;
  return typeof source === 'string' ? source : String(value);
}

/**
 * Parses a text; every mistake of the YAML itself is reported at once, and those that leave it readable
 * beside it.
 */
export function parseSource(name: string, text: string): SourceResult {
  if (text.length > SOURCE_LIMITS.length) {
    const lines = new LineIndex(text.slice(0, 200));
    const message = `the file is larger than ${SOURCE_LIMITS.length / 1024 / 1024} MiB`;
    const d = diagnosticAt(lines, [0, 1], 'yaml.too_large', message, TOO_LARGE_HELP);
    return { ok: false, lines, diagnostics: [d] };
  }
  const lines = new LineIndex(text);
  const refused = refuse(text, lines);
  if (refused !== null) return { ok: false, lines, diagnostics: [refused] };
  const doc = parseDocument<ParsedNode>(text, { version: '1.2', prettyErrors: true, logLevel: 'error' });
  const problems = [...doc.errors, ...doc.warnings];
  const diagnostics = problems.map((e) => fromYamlError(lines, e));
  if (problems.some((e) => e.code !== 'DUPLICATE_KEY')) return { ok: false, lines, diagnostics };
  const walk = new Walk(lines);
  const value = walk.value(doc.contents, [], null, null);
  const mistakes = [...diagnostics, ...walk.diagnostics];
  if (walk.stopped) return { ok: false, lines, diagnostics: mistakes };
  return { ok: true, source: new Source(name, lines, value, walk.places), mistakes };
}
