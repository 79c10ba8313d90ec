// The step in which a verifier looks at measurement lists: files that the actor reads for it, one after the
// other, against the registers as they are now or as an earlier quote has them. The verdict is that of
// `kisim attest verify` without a policy.

import * as z from 'zod';
import { NO_POLICY } from '../../attest/policy-rules.ts';
import { UnreadableError } from '../../attest/verdict.ts';
import { type AttestReport, verify } from '../../attest/verify.ts';
import type { HashName } from '../../crypto/provider.ts';
import { slurp } from '../ops/slurp.ts';
import type { OpResult } from '../ops/types.ts';
import { pcrRead, type TpmPort } from '../tpm-client.ts';
import { defineStep, type StepContext } from './types.ts';

const BANKS: readonly HashName[] = ['sha1', 'sha256'];
const IMA_PCR = 10;

type Values = Map<HashName, ReadonlyMap<number, Uint8Array>>;

function valuesNow(context: StepContext): Values {
  const { tpm } = context.session.machine as unknown as { readonly tpm?: TpmPort | null };
  const out: Values = new Map();
  if (tpm == null) return out;
  for (const bank of BANKS) {
    const value = pcrRead(tpm, { bank, pcrs: [IMA_PCR] }).value?.[0];
    if (value !== undefined) out.set(bank, new Map([[IMA_PCR, value]]));
  }
  return out;
}

/** Values that a quote was made over; null where there is no such quote. */
function valuesThen(context: StepContext, name: string): Values | null {
  const kept = context.memory.quotes[name];
  if (kept === undefined) return null;
  return new Map(
    kept.banks.map(({ bank, pcrs, values }) => [
      bank,
      new Map(pcrs.map((pcr, i) => [pcr, values[i] as Uint8Array])),
    ]),
  );
}

function told(report: AttestReport): OpResult {
  const { verdict, list } = report;
  const failed = report.findings.filter((f) => f.level === 'fail');
  return {
    err: 'OK',
    verdict,
    records: list.records,
    vouched: list.vouched,
    findings: [...new Set(failed.map((f) => f.code))].sort(),
    // The first record that does not fit its own digest.
    record: failed.find((f) => f.code === 'attest.record_digest')?.record ?? null,
  };
}

const verifyList = defineStep({
  name: 'verify_list',
  help: 'a verifier replays measurement lists, one after the other, and gives its verdict',
  args: {
    lists: z.array(z.string()).min(1).describe('Files in their order: saved parts, then the list.'),
    quote: z.string().optional().describe('Hold them against this quote; default: the registers now.'),
  },
  run: (context, args) => {
    const { sys } = context.actor();
    const parts: Uint8Array[] = [];
    for (const path of args.lists) {
      const bytes = slurp(sys, path);
      if (!bytes.ok) return { err: bytes.errno };
      parts.push(bytes.value);
    }
    const registers = args.quote === undefined ? valuesNow(context) : valuesThen(context, args.quote);
    if (registers === null) return { err: 'ENOENT' };
    const list = parts.map((bytes) => () => [bytes]);
    try {
      return told(verify({ list, registers, quote: null, eventlog: null, policy: NO_POLICY, last: null }));
    } catch (e) {
      if (!(e instanceof UnreadableError)) throw e;
      return { err: 'EBADMSG', record: e.what.record };
    }
  },
});

export const VERIFY_LIST_STEPS = [verifyList];
