// What a step (or the end of a scenario) expects. Every member is optional; members that are there must all
// hold. A step's expectations look at what that step added; the final ones look at the machine as it is at
// the end.

import * as z from 'zod';
import { dataSchema, errnoName, hashName, hexText } from './schema-data.ts';

const pcrKey = z.string().regex(/^(?:[a-z0-9_-]+:)?\d{1,2}$/, '`10` or `sha256:10`');

const listEntry = z
  .strictObject({
    pcr: z.int().min(0).max(63).optional().describe('PCR that the entry was extended into.'),
    name: z.string().optional().describe('File name (n-ng) or event name.'),
    template: z.string().optional().describe('Template name or format, such as `ima-ng`.'),
    digest: z
      .string()
      .optional()
      .describe('File digest as the list prints it, `sha256:...`; a prefix of at least 8 digits is enough.'),
    content: dataSchema.optional().describe('The digest must be that of these bytes.'),
    alg: hashName.optional().describe('Algorithm of the file digest.'),
    violation: z.boolean().optional().describe('Whether the entry is a violation (all zeros).'),
    sig: z.boolean().optional().describe('Whether the entry carries a signature field that is not empty.'),
    fields: z
      .record(z.string(), z.string())
      .optional()
      .describe('Other template fields by id, as the list prints them.'),
  })
  .meta({
    id: 'ListEntry',
    description: 'One entry of the measurement list; only the members that are given are compared.',
  });

const listExpectation = z
  .strictObject({
    count: z.int().min(0).optional().describe('How many entries.'),
    entries: z.array(listEntry).optional().describe('Exactly these entries, in this order.'),
    contains: z.array(listEntry).optional().describe('Each of these is among the entries.'),
    last: listEntry.optional().describe('The last entry.'),
  })
  .describe(
    'Measurement list: the entries that this step appended; at the end of a scenario the whole list.',
  );

const auditFields = z
  .record(z.string(), z.union([z.string(), z.int()]))
  .describe('Fields of one record: `type` and any field by name, such as op, cause, name, res, errno.');

const quoteExpectation = z
  .strictObject({
    signature: z.boolean().optional().describe('Whether the signature is good for the key.'),
    nonce: z.boolean().optional().describe("Whether the nonce is the verifier's."),
    pcrs: z.boolean().optional().describe('Whether the quoted digest is that of the expected PCR values.'),
    verifies: z.boolean().optional().describe('All three together.'),
  })
  .describe('What a verifier says about the quote of this step.');

const attestExpectation = z
  .strictObject({
    verdict: z.enum(['trusted', 'untrusted', 'unreadable']).optional(),
    fails: z
      .array(z.string())
      .optional()
      .describe('Codes of the findings that speak against it, all of them.'),
    warns: z.array(z.string()).optional().describe('Codes of the warnings, all of them.'),
    notes: z.array(z.string()).optional().describe('Codes of what it only notes, all of them.'),
    records: z.int().min(0).optional().describe('Records of the list.'),
    vouched: z.int().min(0).optional().describe('Records that the registers vouch for.'),
  })
  .describe('What a verifier says (step `attest`).');

/** Members that steps and the end of a scenario have in common. */
const common = {
  measured: z
    .array(z.string())
    .optional()
    .describe(
      'Names of the list entries, exactly and in order: those of this step; at the end, all of them.',
    ),
  list: listExpectation.optional(),
  pcr: z
    .record(
      pcrKey,
      z.string().regex(/^(?:changed|unchanged|[0-9a-fA-F]{8,128})$/, '`changed`, `unchanged` or hex'),
    )
    .optional()
    .describe(
      'PCR number (`10`, all banks) or bank and number (`sha256:10`): `changed`, `unchanged`, or the value in hex (8 digits or more of its beginning).',
    ),
  violations: z
    .int()
    .min(0)
    .optional()
    .describe('Violations counted (by this step; at the end, altogether).'),
  audit: z
    .array(auditFields)
    .optional()
    .describe('Audit records; each one given must be there. An empty list: no record at all.'),
  reasons: z
    .array(z.string())
    .optional()
    .describe('Reason codes that the trace must show, such as `ima.already_measured`.'),
  no_reasons: z.array(z.string()).optional().describe('Reason codes that the trace must not show.'),
  log: z
    .array(z.string().min(1))
    .optional()
    .describe('Texts that lines of the kernel log contain, one line each. An empty list: no line at all.'),
  policy: z
    .string()
    .optional()
    .describe('The IMA policy as it reads back, one rule a line; space at both ends of lines is ignored.'),
  iint: z
    .record(
      z.string(),
      z.array(z.string().regex(/^!?[A-Z][A-Z0-9_]*$/, 'a flag name, `!` before it for "not set"')),
    )
    .optional()
    .describe(
      'Path of a file: flags that its IMA record has, `!FLAG` for flags that it has not. Empty: no record.',
    ),
};

export const stepExpectation = z
  .strictObject({
    err: errnoName.optional().describe('OK or the errno. A step without it must succeed.'),
    exit: z.int().min(0).max(255).optional().describe('Exit status of the program (exec).'),
    signal: z.int().min(1).max(64).optional().describe('Signal that ended the program.'),
    text: z.string().optional().describe('What was read, as text.'),
    hex: hexText.optional().describe('What was read, as hexadecimal digits.'),
    contains: z.string().optional().describe('A text that what was read contains.'),
    rc: z
      .union([z.string(), z.int()])
      .optional()
      .describe('Response code of a TPM command: `TPM_RC_SUCCESS`, another name, or a number.'),
    quote: quoteExpectation.optional(),
    attest: attestExpectation.optional(),
    result: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('Any member of the operation’s result, such as `at_open` or `wrote`.'),
    ...common,
  })
  .meta({ id: 'StepExpectation', description: 'What must hold after this step.' });

export const finalExpectation = z.strictObject(common).describe('What must hold at the end.');

export type StepExpectation = z.infer<typeof stepExpectation>;
export type FinalExpectation = z.infer<typeof finalExpectation>;
export type CommonExpectation = FinalExpectation;
export type ListEntryExpectation = z.infer<typeof listEntry>;
