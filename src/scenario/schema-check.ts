// The part of a scenario that says what must hold whatever somebody does to the machine: promises, who the
// attacker is, the work that must go on, and clauses of one's own. The search itself is src/check.

import * as z from 'zod';
import { stepExpectation } from './schema-expect.ts';

const path = z.string().regex(/^\//, 'an absolute path');
const paths = z.array(path);

const clause = z
  .strictObject({
    sentence: z.string().min(1).optional().describe('The promise in words.'),
    when: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
      .optional()
      .describe('Only after steps with these members, such as `op: exec`; default: after every step.'),
    expect: stepExpectation,
  })
  .meta({ id: 'CheckClause', description: 'A promise of one’s own, made of expectations.' });

const task = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9-]*$/, 'a lower-case word with hyphens'),
    steps: z.array(z.unknown()).min(1).describe('Steps as in `steps`, each with what it expects.'),
  })
  .describe('Something that must work.');

const check = z
  .strictObject({
    property: z
      .union([z.string(), z.array(z.string()).min(1)])
      .optional()
      .describe('Names of the promises to check; `kisim check --list` shows them.'),
    attacker: z.string().optional().describe('Powers, joined by `+`, such as `root-without-keys`.'),
    depth: z.int().min(1).optional().describe('How many actions the exhaustive search combines.'),
    runs: z.int().min(1).optional().describe('How many random runs, where the search is random.'),
    trusted: paths
      .optional()
      .describe('Files whose contents are good although nothing on the machine says so.'),
    strangers: paths
      .optional()
      .describe('Files whose contents nobody vouches for, whatever labels they carry.'),
    outdated: paths.optional().describe('Files that are signed well and must not come back: older versions.'),
    workload: z.array(task).optional().describe('What the machine must still do.'),
    never: z.array(clause).optional().describe('Clauses that must not hold after any step.'),
    always: z.array(clause).optional().describe('Clauses that must hold after every step.'),
  })
  .describe(
    'What must hold whatever an attacker does; `steps` are then what the machine does at each start.',
  );

/** Names of their own: spelling the types out inside of the document's is too much for the compiler. */
export interface CheckForm extends z.infer<typeof check> {}
export const checkSchema: z.ZodType<CheckForm> = check;
export type ClauseForm = z.infer<typeof clause>;
