// The kernel's verdict on an IPE policy text: the parsed policy, or the errno of the first error with its
// place. Messages for people, warnings and all further errors are the linter's; what is shared with it is
// the tokenizer.

import { fromHex } from '../base/bytes.ts';
import type { Errno } from '../base/errno.ts';
import { kstrtou } from '../base/kstrtox.ts';
import { IPE_PROPERTIES, type IpePropertySyntax } from './properties.ts';
import type { IPE_REASON } from './reasons.ts';
import { type IpeLine, type IpeWord, ipeLines } from './tokenizer.ts';
import {
  IPE_OPS,
  type IpeAction,
  type IpeDigest,
  type IpeOp,
  type IpeOpTable,
  type IpeParsedPolicy,
  type IpeProp,
  type IpeRule,
  type IpeVersion,
} from './types.ts';

export type IpeParseReason = keyof typeof IPE_REASON;

/** Why the kernel refuses a text, and where: line 0 means the text as a whole. */
export interface IpeParseFailure {
  readonly ok: false;
  readonly errno: Errno;
  readonly reason: IpeParseReason;
  readonly line: number;
  /** Offset in the text, and length, of what the error is about. */
  readonly offset: number;
  readonly length: number;
}

export type IpeParseResult = { readonly ok: true; readonly policy: IpeParsedPolicy } | IpeParseFailure;

type Step<T> = { readonly ok: true; readonly value: T } | IpeParseFailure;

function failAt(errno: Errno, reason: IpeParseReason, line: number, word: IpeWord | null): IpeParseFailure {
  return { ok: false, errno, reason, line, offset: word?.offset ?? 0, length: word?.text.length ?? 0 };
}

/**
 * `keyword=` followed by at least one byte, as match_token()'s %s takes it; undefined when it is not that.
 */
function assigned(word: string, keyword: string): string | undefined {
  return word.startsWith(`${keyword}=`) && word.length > keyword.length + 1
    ? word.slice(keyword.length + 1)
    : undefined;
}

/** One part of a version. @kernel lib/kstrtox.c kstrtou16() */
export function kstrtou16(text: string): number | Errno {
  const number = kstrtou(text, 10, 16);
  return number.ok ? Number(number.value) : number.errno;
}

/** @kernel security/ipe/policy_parser.c parse_version() */
function parseVersion(word: IpeWord, text: string, line: number): Step<IpeVersion> {
  const parts: number[] = [];
  for (const part of text.split('.')) {
    if (parts.length >= 3) return failAt('EBADMSG', 'ipe.parse_version_parts', line, word);
    const number = kstrtou16(part);
    if (typeof number !== 'number') {
      const reason = number === 'ERANGE' ? 'ipe.parse_version_range' : 'ipe.parse_version_number';
      return failAt(number, reason, line, word);
    }
    parts.push(number);
  }
  const [major, minor, rev] = parts;
  if (major === undefined || minor === undefined || rev === undefined)
    return failAt('EBADMSG', 'ipe.parse_version_parts', line, word);
  return { ok: true, value: { major, minor, rev } };
}

interface Header {
  readonly name: string;
  readonly version: IpeVersion;
}

/** @kernel security/ipe/policy_parser.c parse_header() */
function parseHeader(line: IpeLine): Step<Header> {
  const bad = (word: IpeWord | undefined): IpeParseFailure =>
    failAt('EBADMSG', 'ipe.parse_header', line.number, word ?? line.words[0] ?? null);
  const [first, second, third] = line.words;
  const name = first === undefined ? undefined : assigned(first.text, 'policy_name');
  if (name === undefined) return bad(first);
  const versionText = second === undefined ? undefined : assigned(second.text, 'policy_version');
  if (second === undefined || versionText === undefined) return bad(second);
  const version = parseVersion(second, versionText, line.number);
  if (!version.ok) return version;
  if (third !== undefined) return bad(third);
  return { ok: true, value: { name, version: version.value } };
}

/** @kernel security/ipe/digest.c ipe_digest_parse() */
function parseDigest(word: IpeWord, text: string, line: number): Step<IpeDigest> {
  const colon = text.indexOf(':');
  if (colon < 0) return failAt('EBADMSG', 'ipe.parse_digest_colon', line, word);
  const hex = text.slice(colon + 1);
  if (hex.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(hex))
    return failAt('EINVAL', 'ipe.parse_digest_hex', line, word);
  return { ok: true, value: { alg: text.slice(0, colon), digest: fromHex(hex) } };
}

/** @kernel security/ipe/policy_parser.c parse_property() */
function parseProperty(word: IpeWord, line: number, properties: readonly IpePropertySyntax[]): Step<IpeProp> {
  for (const { name, kind } of properties) {
    const text = assigned(word.text, name);
    if (text === undefined) continue;
    if (kind === 'digest') {
      const digest = parseDigest(word, text, line);
      return digest.ok ? { ok: true, value: { name, value: digest.value } } : digest;
    }
    if (text === 'TRUE' || text === 'FALSE') return { ok: true, value: { name, value: text === 'TRUE' } };
  }
  return failAt('EBADMSG', 'ipe.parse_property', line, word);
}

const ACTIONS: Readonly<Record<string, IpeAction>> = { 'action=ALLOW': 'ALLOW', 'action=DENY': 'DENY' };

function parseOperation(word: string): IpeOp | undefined {
  return IPE_OPS.find((op) => word === `op=${op}`);
}

interface RuleLine {
  readonly isDefault: boolean;
  readonly op: IpeOp | null;
  readonly props: readonly IpeProp[];
  readonly action: IpeAction;
}

/** Everything but the last word first, then the action: errors come in that order. */
function parseRuleLine(line: IpeLine, properties: readonly IpePropertySyntax[]): Step<RuleLine> {
  const props: IpeProp[] = [];
  let isDefault = false;
  let op: IpeOp | null = null;
  const last = line.words.length - 1;
  for (let i = 0; i < last; i++) {
    const word = line.words[i] as IpeWord;
    if (i === 0 && word.text === 'DEFAULT') {
      isDefault = true;
    } else if (op === null) {
      op = parseOperation(word.text) ?? null;
      if (op === null) return failAt('EBADMSG', 'ipe.parse_operation', line.number, word);
    } else {
      const prop = parseProperty(word, line.number, properties);
      if (!prop.ok) return prop;
      props.push(prop.value);
    }
  }
  const end = line.words[last] as IpeWord;
  const action = ACTIONS[end.text];
  if (action === undefined) return failAt('EBADMSG', 'ipe.parse_action', line.number, end);
  return { ok: true, value: { isDefault, op, props, action } };
}

interface Tables {
  globalDefaultAction: IpeAction | null;
  readonly defaults: Map<IpeOp, IpeAction>;
  readonly rules: Map<IpeOp, IpeRule[]>;
}

/** @kernel security/ipe/policy_parser.c parse_rule() */
function addRule(
  line: IpeLine,
  tables: Tables,
  properties: readonly IpePropertySyntax[],
): IpeParseFailure | null {
  const parsed = parseRuleLine(line, properties);
  if (!parsed.ok) return parsed;
  const { isDefault, op, props, action } = parsed.value;
  const first = line.words[0] as IpeWord;
  const bad = (reason: IpeParseReason): IpeParseFailure => failAt('EBADMSG', reason, line.number, first);
  if (!isDefault) {
    if (op === null) return bad('ipe.parse_operation');
    const rules = tables.rules.get(op) ?? [];
    rules.push({ op, props, action, line: line.number });
    tables.rules.set(op, rules);
    return null;
  }
  if (props.length > 0) return bad('ipe.parse_default_property');
  if (op === null) {
    if (tables.globalDefaultAction !== null) return bad('ipe.parse_default_twice');
    tables.globalDefaultAction = action;
    return null;
  }
  if (tables.defaults.has(op)) return bad('ipe.parse_default_twice');
  tables.defaults.set(op, action);
  return null;
}

/**
 * Parses a policy text, one character per byte.
 * @kernel security/ipe/policy_parser.c ipe_parse_policy(), validate_policy()
 */
export function ipeParsePolicy(
  text: string,
  properties: readonly IpePropertySyntax[] = IPE_PROPERTIES,
): IpeParseResult {
  if (text.length === 0) return failAt('EBADMSG', 'ipe.parse_empty', 0, null);
  const tables: Tables = { globalDefaultAction: null, defaults: new Map(), rules: new Map() };
  let header: Header | null = null;
  for (const line of ipeLines(text)) {
    if (header === null) {
      const parsed = parseHeader(line);
      if (!parsed.ok) return parsed;
      header = parsed.value;
    } else {
      const failure = addRule(line, tables, properties);
      if (failure !== null) return failure;
    }
  }
  if (header === null) return failAt('EBADMSG', 'ipe.parse_no_header', 0, null);
  const { globalDefaultAction, defaults, rules } = tables;
  if (globalDefaultAction === null && IPE_OPS.some((op) => !defaults.has(op)))
    return failAt('EBADMSG', 'ipe.parse_default_missing', 0, null);
  const ops = Object.fromEntries(
    IPE_OPS.map((op): [IpeOp, IpeOpTable] => [
      op,
      { defaultAction: defaults.get(op) ?? null, rules: rules.get(op) ?? [] },
    ]),
  ) as { [op in IpeOp]: IpeOpTable };
  return { ok: true, policy: { ...header, globalDefaultAction, ops } };
}
