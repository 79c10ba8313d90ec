// `kisim attest`: the verdict of a relying party over lists, quotes and event logs of simulated and real
// machines, and event logs as text.

import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import '../crypto/auto.ts';
import { type AttestPolicy, NO_POLICY } from '../attest/policy-rules.ts';
import { readQuote } from '../attest/quote.ts';
import { readTrustedKey } from '../attest/signature.ts';
import type { Visit } from '../attest/state.ts';
import { type Finding, UnreadableError } from '../attest/verdict.ts';
import { type AttestReport, verify } from '../attest/verify.ts';
import { fromUtf8, latin1, toHex } from '../base/bytes.ts';
import type { HashName } from '../crypto/provider.ts';
import { inFile, listPart, nonceBytes, readSmall, registersFrom, splitPcrs } from './attest-files.ts';
import {
  type ColorChoice,
  type Colors,
  CommandError,
  colorOption,
  colorsFor,
  EXIT,
  out,
  say,
  shellQuote,
} from './terminal.ts';

interface VerifyOptions {
  readonly list: readonly string[];
  readonly pcrs?: readonly string[];
  readonly quote?: string;
  readonly signature?: string;
  readonly ak?: string;
  readonly nonce?: string;
  readonly eventlog?: string;
  readonly policy?: string;
  readonly key?: readonly string[];
  readonly state?: string;
  readonly ignoreViolations?: boolean;
  readonly all?: boolean;
  readonly format: 'human' | 'plain' | 'json';
  readonly color: ColorChoice;
}

/** Readers of texts are loaded when there is a text. */
async function policyFrom(o: VerifyOptions): Promise<AttestPolicy> {
  const { policy: path } = o;
  const beside = (name: string): Uint8Array | undefined => {
    const file = resolve(dirname(path ?? '.'), name);
    return existsSync(file) ? readSmall(file) : undefined;
  };
  let base = NO_POLICY;
  if (path !== undefined) {
    const { readPolicy } = await import('../attest/policy.ts');
    base = inFile(path, () => readPolicy(readSmall(path), beside));
  }
  const keys = (o.key ?? []).map((file) => {
    const key = readTrustedKey(readSmall(file));
    if (key === null) throw new CommandError(EXIT.invalid, `${file}: no public key and no certificate`);
    return key;
  });
  const violations = o.ignoreViolations === true ? 'allow' : base.violations;
  const unlisted = keys.length > 0 && path === undefined ? 'deny' : base.unlisted;
  return { ...base, keys: [...base.keys, ...keys], violations, unlisted };
}

function registersOf(o: VerifyOptions, quoteFile: Uint8Array | null) {
  const quoted = quoteFile === null ? [] : inFile(o.quote ?? '', () => readQuote(quoteFile)).selections;
  const banks = new Map<HashName, ReadonlyMap<number, Uint8Array>>();
  for (const text of o.pcrs ?? []) {
    const { bank, path } = splitPcrs(text);
    banks.set(bank, new Map([...(banks.get(bank) ?? []), ...registersFrom(path, bank, quoted)]));
  }
  return banks;
}

async function lastVisit(path: string | undefined): Promise<Visit | null> {
  if (path === undefined || !existsSync(path)) return null;
  const { readVisit } = await import('../attest/state.ts');
  return inFile(path, () => readVisit(fromUtf8(readSmall(path))));
}

/** Name of the file that an artefact came from. */
function fileOf(o: VerifyOptions, artefact: string, part: number | undefined): string {
  if (artefact === 'list') return o.list[part ?? 0] ?? o.list[0] ?? 'list';
  if (artefact === 'registers') return (o.pcrs ?? [])[0] ?? 'registers';
  const named = o as unknown as Readonly<Record<string, string | undefined>>;
  return named[artefact] ?? artefact;
}

function placeText(o: VerifyOptions, f: Finding): string {
  const file = fileOf(o, f.artefact, f.part);
  const record = f.record === null ? '' : `, record ${f.record}`;
  const byte = f.byte === null ? '' : `, byte ${f.byte}`;
  return `${file}${record}${byte}`;
}

const MARKS = { fail: 'x', warn: '!', note: '-' } as const;
const SHOWN = 20;

function findingLine(o: VerifyOptions, f: Finding, c: Colors): string {
  const paint = { fail: c.red, warn: c.yellow, note: c.dim }[f.level];
  return `${paint(`${MARKS[f.level]} ${f.message}`)} ${c.dim(`[${f.code}] ${placeText(o, f)}`)}`;
}

function humanReport(o: VerifyOptions, report: AttestReport, c: Colors): string {
  const order = { fail: 0, warn: 1, note: 2 };
  const sorted = [...report.findings].sort((a, b) => order[a.level] - order[b.level]);
  const shown = o.all === true ? sorted : sorted.slice(0, SHOWN);
  const lines = shown.map((f) => findingLine(o, f, c));
  if (shown.length < sorted.length)
    lines.push(`  and ${sorted.length - shown.length} more (--all shows them)`);
  const { list } = report;
  const head = report.verdict === 'trusted' ? c.green('trusted') : c.red('untrusted');
  const vouched = list.vouched === null ? 'no register was given' : `registers vouch for ${list.vouched}`;
  lines.push(`${head}: ${list.records} records, ${vouched}, violations: ${list.violations}`);
  return lines.join('\n');
}

function jsonReport(o: VerifyOptions, report: AttestReport): string {
  const { list, eventlog } = report;
  return JSON.stringify(
    {
      schemaVersion: 1,
      verdict: report.verdict,
      reasons: report.findings.map((f) => ({
        level: f.level,
        code: f.code,
        message: f.message,
        artefact: f.artefact,
        file: fileOf(o, f.artefact, f.part),
        record: f.record,
        byte: f.byte,
      })),
      counts: Object.fromEntries(report.counts),
      list: {
        records: list.records,
        violations: list.violations,
        vouched: list.vouched,
        registers: list.registers.map((r) => ({
          bank: r.bank,
          pcr: r.pcr,
          value: toHex(r.value),
          target: r.target === null ? null : toHex(r.target),
          matched: r.matched,
        })),
      },
      eventlog: eventlog === null ? null : { events: eventlog.events },
    },
    null,
    2,
  );
}

function unreadable(o: VerifyOptions, e: UnreadableError): CommandError {
  const { artefact, part, byte, message } = e.what;
  return new CommandError(EXIT.invalid, `${fileOf(o, artefact, part)}: byte ${byte}: ${message}`);
}

async function run(o: VerifyOptions): Promise<AttestReport> {
  const small = (path: string | undefined): Uint8Array | null =>
    path === undefined ? null : readSmall(path);
  const quote = small(o.quote);
  const nonce = o.nonce === undefined ? null : nonceBytes(o.nonce);
  return verify({
    list: o.list.map(listPart),
    registers: registersOf(o, quote),
    quote: quote === null ? null : { quote, signature: small(o.signature), ak: small(o.ak), nonce },
    eventlog: small(o.eventlog),
    policy: await policyFrom(o),
    last: await lastVisit(o.state),
  });
}

async function keepVisit(path: string, visit: Visit): Promise<void> {
  const { visitJson } = await import('../attest/state.ts');
  writeFileSync(`${path}.new`, visitJson(visit));
  renameSync(`${path}.new`, path);
}

async function attestVerify(o: VerifyOptions): Promise<void> {
  let report: AttestReport;
  try {
    report = await run(o);
  } catch (e) {
    throw e instanceof UnreadableError ? unreadable(o, e) : e;
  }
  const trusted = report.verdict === 'trusted';
  if (o.format === 'json') out(jsonReport(o, report));
  else out(humanReport(o, report, colorsFor(o.color, process.stdout, o.format === 'plain')));
  if (trusted && o.state !== undefined) await keepVisit(o.state, report.visit);
  if (!trusted && o.format !== 'json') say(`again: kisim ${process.argv.slice(2).map(shellQuote).join(' ')}`);
  process.exitCode = trusted ? EXIT.ok : EXIT.failed;
}

async function attestEventlog(file: string, o: { readonly eventlogVersion: '1' | '2' }): Promise<void> {
  const { eventLogYaml } = await import('../attest/eventlog-yaml.ts');
  const { text, notes, problem } = eventLogYaml(readSmall(file), o.eventlogVersion === '2' ? 2 : 1);
  process.stdout.write(latin1(text));
  for (const note of notes) say(`${file}: ${note}`);
  if (problem !== null)
    throw new CommandError(EXIT.invalid, `${file}: byte ${problem.offset}: ${problem.message}`);
}

const collect = (value: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  value,
];

function verifyCommand(): Command {
  return new Command('verify')
    .description('judge a measurement list by registers, quote, event log and policy')
    .requiredOption(
      '--list <file>',
      'measurement list, binary or ASCII; again for a list in several files',
      collect,
    )
    .option(
      '--pcrs <alg:file>',
      'registers of a bank as evmctl, tpm2_pcrread, tpm2_quote -o or sysfs have them',
      collect,
    )
    .option('--quote <file>', 'TPMS_ATTEST (tpm2_quote -m)')
    .option('--signature <file>', 'its signature (tpm2_quote -s, both forms)')
    .option('--ak <file>', 'public attestation key: TPM2B_PUBLIC, TPMT_PUBLIC, PEM, DER or certificate')
    .option('--nonce <hex>', 'the nonce of the quote; @FILE reads it from a file')
    .option('--eventlog <file>', 'firmware event log (binary_bios_measurements)')
    .option('--policy <file>', 'what is expected: own YAML or a policy of keylime')
    .option('--key <file>', 'trusted signing key for signatures in the list; again for more', collect)
    .option('--state <file>', 'what was seen at the last visit; written when the verdict is trusted')
    .option('--ignore-violations', 'violations do not make a list untrusted')
    .option('--all', 'show all findings')
    .addOption(
      new Option('--format <format>', 'form of the answer')
        .choices(['human', 'plain', 'json'])
        .default('human'),
    )
    .addOption(colorOption())
    .addHelpText(
      'before',
      'Examples:\n  kisim attest verify --list binary_runtime_measurements --pcrs sha256:pcrs.sha256\n',
    )
    .addHelpText('after', '\nExit: 0 trusted, 1 not trusted, 3 an artefact cannot be read.')
    .action(attestVerify);
}

export function attestCommand(): Command {
  const eventlog = new Command('eventlog')
    .description('a firmware event log as tpm2_eventlog prints it')
    .argument('<file>', 'event log, or - for standard input')
    .addOption(new Option('--eventlog-version <n>', 'version of the output').choices(['1', '2']).default('1'))
    .addHelpText('after', '\nExit: 0 all of it was read, 3 it ends early or is none.')
    .action(attestEventlog);
  return new Command('attest')
    .description('judge measurement lists, quotes and event logs of simulated and real machines')
    .addCommand(verifyCommand())
    .addCommand(eventlog);
}
