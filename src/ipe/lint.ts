// Diagnostics for people who write IPE policies: every mistake at once with its place and a way out, and
// warnings about rules that the kernel accepts but that can never hold or never be reached. The kernel's
// own verdict comes from parser.ts; where it is "accepted" there is no error here, and the other way round.

import { fromLatin1, fromUtf8, latin1, utf8 } from '../base/bytes.ts';
import {
  type Diagnostic,
  didYouMean,
  LineIndex,
  type LintReport,
  sortDiagnostics,
} from '../base/diagnostic.ts';
import { ERRNO } from '../base/errno.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import { ipeParsePolicy, kstrtou16 } from './parser.ts';
import { IPE_PROPERTIES, type IpePropertySyntax } from './properties.ts';
import { type IpeLine, type IpeWord, ipeLines } from './tokenizer.ts';
import {
  IPE_OPS,
  type IpeAction,
  type IpeDigest,
  type IpeOp,
  type IpeParsedPolicy,
  type IpeRule,
} from './types.ts';

export interface IpeLintOptions {
  /** Properties that the language has; a design that adds one passes its own list. */
  readonly properties?: readonly IpePropertySyntax[];
  /** Kernel whose build options decide which properties can hold; without it all can. */
  readonly profile?: KernelProfile;
}

const NAME_MAX = 255;
const OP_HELP = `operations: ${IPE_OPS.join(', ')}`;
/** Digest length by the names that dm-verity tables and fs-verity use. */
const DIGEST_SIZES: Readonly<Record<string, number>> = {
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
  'sha3-256': 32,
  'sha3-384': 48,
  'sha3-512': 64,
  sm3: 32,
  rmd160: 20,
  wp512: 64,
  md5: 16,
};
const FS_VERITY_ALGS: readonly string[] = ['sha256', 'sha512'];

function algorithmsOf(property: string): readonly string[] {
  return property === 'fsverity_digest' ? FS_VERITY_ALGS : Object.keys(DIGEST_SIZES);
}

/** Whether the kernel makes such a digest: a rule with another one never matches. */
export function digestIsPossible(property: string, { alg, digest }: IpeDigest): boolean {
  return algorithmsOf(property).includes(alg) && DIGEST_SIZES[alg] === digest.length;
}

class Linter {
  readonly diagnostics: Diagnostic[] = [];
  readonly #text: string;
  readonly #lines: LineIndex;
  readonly #properties: readonly IpePropertySyntax[];
  readonly #options: IpeLintOptions;
  #global: number | null = null;
  readonly #defaults = new Map<IpeOp, number>();

  constructor(text: string, options: IpeLintOptions) {
    this.#text = text;
    this.#lines = new LineIndex(text);
    this.#options = options;
    this.#properties = options.properties ?? IPE_PROPERTIES;
  }

  /** Offsets count bytes; columns count the characters that an editor shows. */
  report(
    severity: Diagnostic['severity'],
    at: { readonly offset: number; readonly text: string },
    code: string,
    message: string,
    help: string | null = null,
  ): void {
    const { line } = this.#lines.position(at.offset);
    const start = this.#text.lastIndexOf('\n', at.offset - 1) + 1;
    const before = fromUtf8(latin1(this.#text.slice(start, at.offset)));
    const length = Math.max(1, fromUtf8(latin1(at.text)).length);
    this.diagnostics.push({ severity, line, column: before.length + 1, length, code, message, help });
  }

  #error(at: IpeWord, code: string, message: string, help: string | null = null): void {
    this.report('error', at, code, message, help);
  }

  header(line: IpeLine): void {
    const [first, second, ...others] = line.words as readonly [IpeWord, ...IpeWord[]];
    const shape = 'the first line is `policy_name=NAME policy_version=A.B.C`';
    if (valueAfter(first.text, 'policy_name') === undefined) {
      const help =
        second !== undefined && first.text.startsWith('policy_version=')
          ? `the name comes first: ${shape}`
          : shape;
      this.#error(first, 'ipe.parse_header', headerMessage(first.text, 'policy_name'), help);
    } else this.#name(first);
    if (second === undefined)
      this.#error(first, 'ipe.parse_header', 'the header has no `policy_version=`', shape);
    else {
      const version = valueAfter(second.text, 'policy_version');
      if (version === undefined)
        this.#error(second, 'ipe.parse_header', headerMessage(second.text, 'policy_version'), shape);
      else this.#version(second, version);
    }
    for (const word of others)
      this.#error(word, 'ipe.parse_header', `\`${show(word.text)}\` does not belong to the header`, shape);
  }

  #name(word: IpeWord): void {
    const name = word.text.slice('policy_name='.length);
    const at = { offset: word.offset + 'policy_name='.length, text: name };
    if (nameErrno(name) === null) return;
    const why =
      name.length > NAME_MAX ? `is longer than ${NAME_MAX} bytes` : 'cannot name a directory of securityfs';
    this.#error(at, 'ipe.lint_policy_name', `the policy name ${why}`, 'use letters, digits, `-` and `_`');
  }

  #version(word: IpeWord, text: string): void {
    const parts = text.split('.');
    const help = 'three decimal numbers from 0 to 65535, such as `1.0.0`';
    for (const part of parts.slice(0, 3)) {
      const n = kstrtou16(part);
      if (n === 'ERANGE')
        this.#error(word, 'ipe.parse_version_range', `\`${show(part)}\` is larger than 65535`, help);
      else if (typeof n !== 'number')
        this.#error(word, 'ipe.parse_version_number', `\`${show(part)}\` is no decimal number`, help);
    }
    if (parts.length !== 3)
      this.#error(word, 'ipe.parse_version_parts', `the version has ${count(parts.length, 'part')}`, help);
  }

  rule(line: IpeLine): void {
    const words = line.words;
    const first = words[0] as IpeWord;
    const last = words.at(-1) as IpeWord;
    if (first.text.startsWith('policy_name=')) {
      this.#error(
        first,
        'ipe.parse_operation',
        'a second header',
        'a policy has one header, on its first line',
      );
      return;
    }
    const isDefault = first.text === 'DEFAULT';
    const hasAction = isAction(last.text);
    const ends = hasAction || (words.length > 1 && /^action\b/i.test(last.text));
    const body = words.slice(isDefault ? 1 : 0, ends ? -1 : undefined);
    const op = this.#operation(first, body, isDefault);
    const startsWithProperty = body[0] !== undefined && this.#isProperty(body[0].text);
    for (const word of body.slice(startsWithProperty ? 0 : 1)) this.#property(word, isDefault);
    if (!hasAction) this.#action(words, isDefault);
    else if (isDefault) this.#default(line, op);
  }

  /** The operation of a rule, with a diagnostic where there is none. */
  #operation(first: IpeWord, body: readonly IpeWord[], isDefault: boolean): IpeOp | null | undefined {
    const word = body[0];
    if (word === undefined) {
      if (!isDefault)
        this.#error(
          first,
          'ipe.parse_operation',
          'the rule has no `op=`',
          `a rule begins with \`op=\`; ${OP_HELP}`,
        );
      return isDefault ? null : undefined;
    }
    if (word.text.startsWith('op=')) {
      const name = word.text.slice(3);
      const op = IPE_OPS.find((o) => o === name);
      if (op === undefined) {
        const help = didYouMean(name, IPE_OPS) ?? OP_HELP;
        this.#error(word, 'ipe.parse_operation', `unknown operation \`${show(name)}\``, help);
      }
      return op;
    }
    const later = body.find((w) => w.text.startsWith('op='));
    const near = didYouMean(word.text, ['DEFAULT', ...IPE_OPS.map((o) => `op=${o}`)]);
    if (later !== undefined)
      this.#error(
        word,
        'ipe.parse_operation',
        `\`${show(word.text)}\` stands before \`${show(later.text)}\``,
        '`op=` comes first',
      );
    else if (!this.#isProperty(word.text) && !isAction(word.text))
      this.#error(
        word,
        'ipe.parse_operation',
        `a rule begins with \`op=\` or \`DEFAULT\`, not \`${show(word.text)}\``,
        near ?? OP_HELP,
      );
    else
      this.#error(
        word,
        'ipe.parse_operation',
        'the rule has no `op=`',
        `a rule begins with \`op=\`; ${OP_HELP}`,
      );
    return undefined;
  }

  #isProperty(text: string): boolean {
    return this.#properties.some((p) => text.startsWith(`${p.name}=`));
  }

  #property(word: IpeWord, isDefault: boolean): void {
    const { text } = word;
    if (isAction(text)) {
      this.#error(
        word,
        'ipe.parse_property',
        `\`${show(text)}\` is not the last word of its line`,
        'the action ends a rule',
      );
      return;
    }
    if (text.startsWith('op=')) {
      const help = 'a rule has one `op=`, and it comes first';
      this.#error(word, 'ipe.parse_property', `\`${show(text)}\` where a property is expected`, help);
      return;
    }
    const equals = text.indexOf('=');
    const key = equals < 0 ? text : text.slice(0, equals);
    const property = this.#properties.find((p) => p.name === key);
    if (property === undefined || equals < 0) {
      const names = this.#properties.map((p) => p.name);
      const help =
        property !== undefined
          ? `write \`${key}=...\``
          : (didYouMean(key, names) ?? `properties: ${names.join(', ')}`);
      this.#error(word, 'ipe.parse_property', `unknown property \`${show(text)}\``, help);
      return;
    }
    if (isDefault)
      this.#error(
        word,
        'ipe.parse_default_property',
        'a default has no properties',
        'write a rule with `op=` instead',
      );
    this.#value(word, property, text.slice(equals + 1));
  }

  #value(word: IpeWord, property: IpePropertySyntax, value: string): void {
    const { name } = property;
    if (property.kind === 'boolean') {
      if (value === 'TRUE' || value === 'FALSE') return;
      const upper = value.toUpperCase();
      const help =
        upper === 'TRUE' || upper === 'FALSE'
          ? `write \`${name}=${upper}\``
          : '`TRUE` or `FALSE`, in capital letters';
      this.#error(word, 'ipe.parse_property', `\`${name}\` cannot be \`${show(value)}\``, help);
      return;
    }
    const shape = `\`${name}=ALGORITHM:HEX\`, such as \`sha256:\` and 64 digits`;
    const colon = value.indexOf(':');
    if (value === '') this.#error(word, 'ipe.parse_property', `\`${name}\` has no value`, shape);
    else if (colon < 0) this.#error(word, 'ipe.parse_digest_colon', 'the digest names no algorithm', shape);
    else {
      const hex = value.slice(colon + 1);
      const bad = /[^0-9a-fA-F]/.exec(hex);
      if (bad !== null)
        this.#error(word, 'ipe.parse_digest_hex', `\`${show(bad[0])}\` is no hexadecimal digit`, shape);
      else if (hex.length % 2 !== 0)
        this.#error(
          word,
          'ipe.parse_digest_hex',
          `the digest has an odd number of digits (${hex.length})`,
          shape,
        );
      else this.#deadDigest(word, name, value.slice(0, colon), hex.length / 2);
    }
  }

  /** Digests that parse and can never match. */
  #deadDigest(word: IpeWord, property: string, alg: string, length: number): void {
    const algs = algorithmsOf(property);
    const never = 'the kernel accepts it, and the rule never matches';
    if (!algs.includes(alg)) {
      const plain = alg.toLowerCase().replace(/^(sha)-(\d+)$/, '$1$2');
      const near = algs.includes(plain) ? `did you mean \`${plain}\`?` : didYouMean(alg, algs);
      this.report(
        'warning',
        word,
        'ipe.lint_unknown_algorithm',
        `unknown algorithm \`${show(alg)}\`: ${never}`,
        near ?? `known: ${algs.join(', ')}`,
      );
      return;
    }
    const size = DIGEST_SIZES[alg];
    if (size !== undefined && size !== length)
      this.report(
        'warning',
        word,
        'ipe.lint_digest_length',
        `a ${alg} digest has ${size} bytes, not ${length}: ${never}`,
        null,
      );
  }

  #action(words: readonly IpeWord[], isDefault: boolean): void {
    const last = words.at(-1) as IpeWord;
    const shape = 'the last word is `action=ALLOW` or `action=DENY`';
    const misplaced = words.some((w) => isAction(w.text));
    if (misplaced) return;
    if (/^action\b/i.test(last.text)) {
      const near = didYouMean(last.text, ['action=ALLOW', 'action=DENY']);
      this.#error(last, 'ipe.parse_action', `\`${show(last.text)}\` is no action`, near ?? shape);
      return;
    }
    if (words.length === 1 && isDefault)
      this.#error(last, 'ipe.parse_action', 'the default has no action', shape);
    else this.#error(last, 'ipe.parse_action', 'the line has no action at its end', shape);
  }

  #default(line: IpeLine, op: IpeOp | null | undefined): void {
    const first = line.words[0] as IpeWord;
    if (op === undefined) return;
    const before = op === null ? this.#global : this.#defaults.get(op);
    if (before !== null && before !== undefined) {
      const what = op === null ? 'a second global default' : `a second default for \`${op}\``;
      this.#error(
        first,
        'ipe.parse_default_twice',
        what,
        `line ${before} has it already: remove one of them`,
      );
    } else if (op === null) this.#global = this.#lines.position(first.offset).line;
    else this.#defaults.set(op, this.#lines.position(first.offset).line);
  }

  /** What is wrong with the text as a whole. */
  whole(lines: readonly IpeLine[], bytes: number): void {
    const start = { offset: 0, text: ' ' };
    if (bytes === 0) this.report('error', start, 'ipe.parse_empty', 'the policy is empty');
    else if (lines.length === 0)
      this.report(
        'error',
        start,
        'ipe.parse_no_header',
        'the policy has no header',
        'the first line is `policy_name=NAME policy_version=A.B.C`',
      );
    else if (this.#global === null && this.diagnostics.every((d) => d.code !== 'ipe.parse_action')) {
      const without = IPE_OPS.filter((op) => !this.#defaults.has(op));
      if (without.length === 0) return;
      const last = lines.at(-1)?.words[0] ?? start;
      const names = without.map((op) => `\`${op}\``).join(', ');
      this.report(
        'error',
        last,
        'ipe.parse_default_missing',
        `no default for ${names}`,
        'add a line `DEFAULT action=DENY` (or one for each operation)',
      );
    }
  }

  nul(): void {
    const at = this.#text.indexOf('\0');
    if (at < 0) return;
    const more = this.#text.length - at - 1;
    const help = /^(?:[^\0]\0){2}/.test(this.#text) ? 'the file looks like UTF-16: save it as UTF-8' : null;
    this.report(
      'warning',
      { offset: at, text: ' ' },
      'ipe.lint_nul',
      `a NUL byte ends the policy here; ${count(more, 'byte')} after it are not read`,
      help,
    );
  }

  /** Warnings about a policy that the kernel accepts. */
  accepted(policy: IpeParsedPolicy, lines: readonly IpeLine[]): void {
    const word = (rule: IpeRule): IpeWord =>
      lines.find((l) => l.number === rule.line)?.words[0] ?? { offset: 0, text: ' ' };
    for (const op of IPE_OPS) {
      const { rules, defaultAction } = policy.ops[op];
      for (const [i, rule] of rules.entries()) {
        this.#never(rule, word(rule));
        const hides = rules.slice(0, i).find((earlier) => covers(earlier, rule));
        if (hides !== undefined) {
          const before = this.#lines.position(word(hides).offset).line;
          const same = hides.props.length === rule.props.length ? 'asks for the same' : 'asks for less';
          this.report(
            'warning',
            word(rule),
            'ipe.lint_unreachable',
            `the rule is never reached: line ${before} ${same} and stands before it`,
            null,
          );
        }
      }
      this.#redundant(op, rules, defaultAction ?? policy.globalDefaultAction, word);
    }
  }

  #redundant(
    op: IpeOp,
    rules: readonly IpeRule[],
    fallback: IpeAction | null,
    word: (rule: IpeRule) => IpeWord,
  ): void {
    const last = rules.at(-1);
    if (last === undefined || fallback !== last.action) return;
    this.report(
      'note',
      word(last),
      'ipe.lint_redundant',
      `the rule changes nothing: the default for \`${op}\` is ${fallback} as well`,
      null,
    );
  }

  #never(rule: IpeRule, word: IpeWord): void {
    const both = rule.props.find((p) =>
      rule.props.some((q) => q.name === p.name && typeof p.value === 'boolean' && q.value === !p.value),
    );
    if (both !== undefined)
      this.report(
        'warning',
        word,
        'ipe.lint_contradiction',
        `the rule never matches: \`${both.name}\` cannot be TRUE and FALSE`,
        null,
      );
    for (const prop of rule.props) {
      const option = this.#properties.find((p) => p.name === prop.name)?.option ?? null;
      const { profile } = this.#options;
      if (
        option === null ||
        profile === undefined ||
        profile.config[option] === undefined ||
        enabled(profile, option)
      )
        continue;
      this.report(
        'warning',
        word,
        'ipe.lint_option_off',
        `the rule never matches: ${option} is off, so \`${prop.name}\` never holds`,
        null,
      );
    }
    const open =
      rule.action === 'ALLOW' && rule.props.length > 0 && rule.props.every((p) => p.value === false);
    if (open && rule.op === 'EXECUTE')
      this.report(
        'note',
        word,
        'ipe.lint_anonymous',
        'FALSE holds for anonymous memory too: the rule allows it',
        null,
      );
  }
}

/** Whether everything that the later rule matches is matched by the earlier one. */
function covers(earlier: IpeRule, later: IpeRule): boolean {
  const key = (p: IpeRule['props'][number]): string =>
    typeof p.value === 'boolean'
      ? `${p.name}=${p.value}`
      : `${p.name}=${p.value.alg}:${fromLatin1(p.value.digest)}`;
  const has = new Set(later.props.map(key));
  return earlier.props.every((p) => has.has(key(p)));
}

function isAction(text: string): boolean {
  return text === 'action=ALLOW' || text === 'action=DENY';
}

function valueAfter(word: string, key: string): string | undefined {
  return word.startsWith(`${key}=`) && word.length > key.length + 1 ? word.slice(key.length + 1) : undefined;
}

function headerMessage(word: string, key: string): string {
  if (word === `${key}=`) return `\`${key}=\` has no value`;
  return `the header has \`${show(word)}\` where \`${key}=\` belongs`;
}

function show(text: string): string {
  const shown = fromUtf8(latin1(text));
  return shown.length > 40 ? `${shown.slice(0, 40)}...` : shown;
}

function count(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}

/** Errno of making the policy's directory, null when the name is good. */
function nameErrno(name: string): 'EACCES' | 'ENAMETOOLONG' | null {
  if (name.includes('/') || name === '.' || name === '..') return 'EACCES';
  return name.length > NAME_MAX ? 'ENAMETOOLONG' : null;
}

/**
 * What the kernel says about a policy text (as the content of a signed policy that is loaded), and all
 * diagnostics.
 * @kernel security/ipe/policy.c ipe_new_policy(), policy_fs.c ipe_new_policyfs_node()
 */
export function lintIpePolicy(text: Uint8Array | string, options: IpeLintOptions = {}): LintReport {
  const bytes = typeof text === 'string' ? utf8(text) : text;
  const chars = fromLatin1(bytes);
  const parsed = ipeParsePolicy(chars, options.properties ?? IPE_PROPERTIES);
  const linter = new Linter(chars, options);
  const lines = ipeLines(chars);
  for (const [i, line] of lines.entries()) {
    if (i === 0) linter.header(line);
    else linter.rule(line);
  }
  linter.nul();
  linter.whole(lines, bytes.length);
  if (parsed.ok) linter.accepted(parsed.policy, lines);
  const errno = parsed.ok ? nameErrno(parsed.policy.name) : parsed.errno;
  const known = errno === null || errno in ERRNO ? errno : null;
  return {
    verdict: errno === null ? 'accepted' : 'rejected',
    errno: known,
    diagnostics: sortDiagnostics(linter.diagnostics),
  };
}
