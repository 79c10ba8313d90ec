// The tables of breaks: for each scenario one or more places of the source that, changed as told, switch off what the
// scenario is about. One YAML file for each section of the catalogue, and one for each other shelf.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';
import { ROOT } from '../support.ts';

const breakSchema = z.strictObject({
  /** What does not work any more, in words. */
  off: z.string().min(10),
  file: z.string().regex(/^src\/.*\.ts$/, 'a source file such as src/ima/measure.ts'),
  find: z.string().min(1),
  replace: z.string(),
});

const entrySchema = z.union([
  z.array(breakSchema).min(1),
  /** A scenario that is about no mechanism of its own, and why. */
  z.strictObject({ nothing_to_break: z.string().min(20) }),
]);

const tableSchema = z.record(
  z.string().regex(/^scenarios\/.*\.yaml$/, 'the path of a scenario'),
  entrySchema,
);

export type Break = z.infer<typeof breakSchema>;

export interface BreakEntry {
  readonly table: string;
  readonly scenario: string;
  readonly breaks: readonly Break[];
}

const FOLDER = 'test/breaks';

/** All entries of all tables, in the order of the files. */
export function breakEntries(): readonly BreakEntry[] {
  return readdirSync(join(ROOT, FOLDER))
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .flatMap((name) => {
      const table = `${FOLDER}/${name}`;
      const read = tableSchema.safeParse(parse(readFileSync(join(ROOT, table), 'utf8')) ?? {});
      if (!read.success) throw new Error(`${table}: ${z.prettifyError(read.error)}`);
      return Object.entries(read.data).map(([scenario, entry]) => {
        return { table, scenario, breaks: Array.isArray(entry) ? entry : [] };
      });
    });
}
