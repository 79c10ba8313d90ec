// Steps of an attacker with TPM commands, and with a TPM of his own: registers that were emptied get the old
// digests again, another TPM is brought into the state that a verifier wants to see and quotes it, and the
// credential by which a verifier finds out where an attestation key lives.

import * as z from 'zod';
import { isViolation, type ListRecord } from '../../attest/record.ts';
import { readList } from '../../attest/verify.ts';
import { concat, equalBytes, filled, fromHex } from '../../base/bytes.ts';
import { crypto, digestSize, type HashName } from '../../crypto/provider.ts';
import { decodeEventLog, EVENT_TYPES, LOG_ALGS } from '../../kernel/eventlog.ts';
import { manufacture } from '../../tpm/manufacture.ts';
import { Tpm } from '../../tpm/tpm.ts';
import type { OpResult } from '../ops/types.ts';
import { AK_TYPES, createAk, flushContext, pcrBanks, pcrExtend, type TpmPort } from '../tpm-client.ts';
import { activateCredential, createEk, loadPublic, makeCredential } from '../tpm-key-client.ts';
import { EDITS, type ListEdit, tamper } from './list-edit.ts';
import { madeQuote } from './tpm.ts';
import { answered, NO_TPM, NONCE, PCRS, portOf, QUOTE_NAME } from './tpm-common.ts';
import { defineStep, type KeptEvidence, type StepContext } from './types.ts';

const EVIDENCE = z
  .string()
  .optional()
  .describe('Name of the copy of list and event log; default `evidence`.');
const TAMPER = z.array(EDITS).optional().describe('Changes of the list before it is replayed.');

/** TPM2_Startup(TPM_SU_CLEAR). */
const STARTUP = fromHex('80010000000c000001440000');

/** A TPM that nobody but its owner knows, with the banks of the machine's. */
function otherTpm(context: StepContext, seed: string): Tpm {
  const port = portOf(context);
  const banks = port === null ? null : pcrBanks(port).value;
  const clock = { uptimeMs: (): number => 0 };
  const made = manufacture({ seed, ...(banks === null || banks.length === 0 ? {} : { banks }) });
  const tpm = new Tpm(made, { clock });
  tpm.powerOn();
  tpm.execute(STARTUP);
  return tpm;
}

/** Extends what event log and list say, as firmware and kernel did; the first refusal ends it. */
function replay(port: TpmPort, evidence: KeptEvidence, edits: readonly ListEdit[]): number {
  const { value: banks, rc } = pcrBanks(port);
  if (banks === null) return rc;
  let failed = 0;
  const extend = (pcr: number, digestOf: (bank: HashName) => Uint8Array | undefined): void => {
    const digests = banks.flatMap((bank) => {
      const digest = digestOf(bank);
      return digest === undefined ? [] : [{ bank, digest }];
    });
    if (failed === 0) failed = pcrExtend(port, pcr, digests).rc;
  };
  const log = evidence.eventlog === null ? [] : decodeEventLog(evidence.eventlog).events;
  for (const e of log) {
    if (e.type === EVENT_TYPES.EV_NO_ACTION) continue;
    extend(e.pcr, (bank) => {
      const algId = LOG_ALGS.find((a) => a.name === bank)?.algId;
      return e.digests.find((d) => d.algId === algId)?.digest;
    });
  }
  const list = tamper(evidence.list, edits).map((part) => () => [part]);
  readList(list, (record: ListRecord) =>
    extend(record.pcr, (bank) => {
      if (isViolation(record)) return filled(digestSize(bank), 0xff);
      return record.data === null ? undefined : crypto().hash(bank, record.data);
    }),
  );
  return failed;
}

const pcrReplay = defineStep({
  name: 'pcr_replay',
  help: 'a program extends the digests of an event log and a list into the registers, as firmware and kernel had done',
  args: { evidence: EVIDENCE, tamper: TAMPER },
  run: (context, args) => {
    const kept = context.memory.evidence[args.evidence ?? 'evidence'];
    const port = portOf(context);
    if (kept === undefined) return { err: 'ENOENT' };
    return port === null ? NO_TPM : answered(replay(port, kept, args.tamper ?? []));
  },
});

const foreignQuote = defineStep({
  name: 'foreign_quote',
  help: 'another TPM, with event log and list replayed into its registers, makes a quote under a key of its own',
  args: {
    pcrs: PCRS,
    nonce: NONCE.optional(),
    key: z.enum(AK_TYPES).optional().describe('Kind of the attestation key; default ecc.'),
    name: QUOTE_NAME.optional(),
    evidence: EVIDENCE,
    tamper: TAMPER,
  },
  outside: true,
  run: (context, args) => {
    const kept = context.memory.evidence[args.evidence ?? 'evidence'];
    if (kept === undefined) return { err: 'ENOENT' };
    const port = otherTpm(context, "the attacker's TPM");
    const rc = replay(port, kept, args.tamper ?? []);
    return rc === 0 ? madeQuote(context, port, args) : answered(rc);
  },
});

const SHA256 = [0x00, 0x0b];
const nameOf = (area: Uint8Array): Uint8Array =>
  concat(Uint8Array.from(SHA256), crypto().hash('sha256', area));

/** What the verifier hides in the credential. */
const SECRET = filled(16, 0x5e);

const activate = defineStep({
  name: 'activate',
  help: 'a verifier makes a credential for the endorsement key of the machine and an attestation key; the machine has to open it',
  args: {
    ak: z
      .enum(['own', 'foreign', 'public'])
      .describe(
        'Key that the credential is for: one of this TPM (`own`), or one of another TPM; with `foreign` the machine answers with a key of its own, with `public` it loads the public part of the other one.',
      ),
  },
  run: (context, args): OpResult => {
    const port = portOf(context);
    if (port === null) return NO_TPM;
    const ek = createEk(port);
    if (ek.value === null) return answered(ek.rc);
    const own = createAk(port, 'ecc');
    const foreign = createAk(otherTpm(context, "the attacker's TPM"), 'ecc');
    if (own.value === null || foreign.value === null) return answered(own.rc || foreign.rc);
    const subject = args.ak === 'own' ? own.value : foreign.value;
    const verifier = otherTpm(context, "the verifier's TPM");
    const made = makeCredential(verifier, ek.value.publicArea, SECRET, nameOf(subject.publicArea));
    if (made.value === null) return answered(made.rc);
    const loaded =
      args.ak === 'public' ? loadPublic(port, subject.publicArea) : { rc: 0, value: own.value.handle };
    if (loaded.value === null) return answered(loaded.rc);
    const opened = activateCredential(port, loaded.value, ek.value.handle, made.value);
    for (const handle of new Set([ek.value.handle, own.value.handle, loaded.value]))
      flushContext(port, handle);
    return { ...answered(opened.rc), opened: opened.value !== null && equalBytes(opened.value, SECRET) };
  },
});

export const OTHER_TPM_STEPS = [pcrReplay, foreignQuote, activate];
