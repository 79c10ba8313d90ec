// Steps of remote attestation: an agent on the machine copies list and event log, somebody in between may
// change the copy, and a verifier judges it together with an earlier quote, its policy and what it remembers
// of the last visit. The verifier is that of `kisim attest verify`.

import * as z from 'zod';
import '../../attest/reasons.ts';
import { readPolicy } from '../../attest/policy.ts';
import { type AttestPolicy, NO_POLICY } from '../../attest/policy-rules.ts';
import { type FindingLevel, UnreadableError } from '../../attest/verdict.ts';
import { type AttestReport, verify } from '../../attest/verify.ts';
import { concat, utf8 } from '../../base/bytes.ts';
import type { HashName } from '../../crypto/provider.ts';
import { slurp } from '../ops/slurp.ts';
import { failedAt, type OpResult } from '../ops/types.ts';
import { pcrRead } from '../tpm-client.ts';
import { EDITS, type ListEdit, tamper } from './list-edit.ts';
import { NONCE, nonceBytes, PCRS, portOf, selectionOf } from './tpm-common.ts';
import { defineStep, type KeptEvidence, type StepContext } from './types.ts';

const IMA = '/sys/kernel/security/integrity/ima/binary_runtime_measurements';
const EVENT_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements';
const NAME = z.string().optional();

const takeEvidence = defineStep({
  name: 'take_evidence',
  help: 'an agent on the machine copies the measurement list and the event log of the firmware',
  args: {
    name: NAME.describe('Name of the copy; default `evidence`.'),
    files: z
      .array(z.string())
      .min(1)
      .optional()
      .describe('Files that hold the list, oldest part first; default: the binary list of securityfs.'),
  },
  run: (context, args) => {
    const { sys } = context.actor();
    const list: Uint8Array[] = [];
    for (const path of args.files ?? [IMA]) {
      const part = slurp(sys, path);
      if (!part.ok) return { ...failedAt('open', part.errno), path };
      list.push(part.value);
    }
    const log = slurp(sys, EVENT_LOG);
    const kept: KeptEvidence = { list, eventlog: log.ok && log.value.length > 0 ? log.value : null };
    const evidence = { ...context.memory.evidence, [args.name ?? 'evidence']: kept };
    context.memory = { ...context.memory, evidence };
    return { err: 'OK', bytes: concat(...list).length };
  },
});

/** Values that are read beside the list and that nobody signs. */
function unsigned(
  context: StepContext,
  form: z.infer<typeof PCRS> | undefined,
): Map<HashName, Map<number, Uint8Array>> {
  const out = new Map<HashName, Map<number, Uint8Array>>();
  const port = portOf(context);
  if (form === undefined || port === null) return out;
  for (const bank of selectionOf(form)) {
    const { value } = pcrRead(port, bank);
    if (value !== null) out.set(bank.bank, new Map(bank.pcrs.map((n, i) => [n, value[i] as Uint8Array])));
  }
  return out;
}

function codes(report: AttestReport, level: FindingLevel): string[] {
  return [...new Set(report.findings.filter((f) => f.level === level).map((f) => f.code))].sort();
}

function answer(report: AttestReport): OpResult {
  return {
    err: 'OK',
    verdict: report.verdict,
    fails: codes(report, 'fail'),
    warns: codes(report, 'warn'),
    notes: codes(report, 'note'),
    records: report.list.records,
    vouched: report.list.vouched,
    findings: report.findings.map((f) => `${f.level} ${f.code}: ${f.message}`),
  };
}

function policyOf(text: string | undefined): AttestPolicy {
  return text === undefined ? NO_POLICY : readPolicy(utf8(text), () => undefined);
}

const attest = defineStep({
  name: 'attest',
  help: 'a verifier judges a copy of the list with a quote, its policy and its memory of the last visit',
  args: {
    evidence: NAME.describe('Name of the copy; default `evidence`.'),
    quote: NAME.describe('Name of the quote that came with it; without one nothing is signed.'),
    nonce: NONCE.optional(),
    registers: PCRS.optional().describe('Registers whose values come with it, unsigned.'),
    eventlog: z.boolean().optional().describe('Whether the event log comes with it; default true.'),
    policy: z.string().optional().describe('Policy of the verifier, as `kisim attest verify` reads it.'),
    tamper: z.array(EDITS).optional().describe('What somebody does to the copy of the list before.'),
    visit: NAME.describe('Under this name the verifier remembers the machine from visit to visit.'),
  },
  outside: true,
  run: (context, args) => {
    const { memory } = context;
    const kept = memory.evidence[args.evidence ?? 'evidence'];
    const quote = args.quote === undefined ? undefined : memory.quotes[args.quote];
    if (kept === undefined || (args.quote !== undefined && quote === undefined)) return { err: 'ENOENT' };
    const list = tamper(kept.list, (args.tamper ?? []) as readonly ListEdit[]);
    const nonce = args.nonce === undefined ? null : nonceBytes(args.nonce);
    try {
      const report = verify({
        list: list.map((part) => () => [part]),
        registers: unsigned(context, args.registers),
        quote:
          quote === undefined
            ? null
            : { quote: quote.attest, signature: quote.signature, ak: quote.publicArea, nonce },
        eventlog: args.eventlog === false ? null : kept.eventlog,
        policy: policyOf(args.policy),
        last: args.visit === undefined ? null : (memory.visits[args.visit] ?? null),
      });
      if (args.visit !== undefined)
        context.memory = { ...memory, visits: { ...memory.visits, [args.visit]: report.visit } };
      return answer(report);
    } catch (e) {
      if (!(e instanceof UnreadableError)) throw e;
      const { artefact, byte, message } = e.what;
      return {
        err: 'OK',
        verdict: 'unreadable',
        fails: [],
        warns: [],
        notes: [],
        findings: [`${artefact}, byte ${byte}: ${message}`],
      };
    }
  },
});

export const ATTEST_STEPS = [takeEvidence, attest];
