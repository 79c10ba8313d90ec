// The words of the step language: the operations of ops/ plus the steps that only scenarios have, each with
// a strict schema (an unknown argument is a mistake here, while recorded cases may carry more than they
// use).

import * as z from 'zod';
import { OPS } from './ops/table.ts';
import { DATA, type OpDeclaration } from './ops/types.ts';
import { bootSchema, stepCommon } from './schema.ts';
import { dataSchema } from './schema-data.ts';
import { SCENARIO_OPS } from './steps/table.ts';

/** Arguments of recorded cases that a scenario writes under `as` or as members of its own. */
const NOT_ARGUMENTS: ReadonlySet<string> = new Set(['uid', 'euid', 'gid', 'actor', 'program', 'note']);

const dataArgument = z.union([dataSchema, z.array(dataSchema).describe('Parts, one after the other.')]);

export interface StepWord {
  readonly name: string;
  readonly help: string;
  /** The whole step: op, arguments and what every step has. */
  readonly schema: z.ZodObject;
  /** Names of the arguments that hold bytes: their scenario forms are resolved before the operation runs. */
  readonly dataArguments: readonly string[];
  /** Names of the arguments that describe a boot, as the `machine` part does. */
  readonly bootArguments: readonly string[];
  /** Names of all arguments, for completion and hints. */
  readonly arguments: readonly string[];
}

/** The schema inside `optional()`, and whether there was one. */
function unwrap(schema: z.core.$ZodType): { readonly inner: z.core.$ZodType; readonly optional: boolean } {
  if (schema instanceof z.ZodOptional) return { inner: unwrap(schema.unwrap()).inner, optional: true };
  return { inner: schema, optional: false };
}

function wordOf(declaration: Pick<OpDeclaration, 'name' | 'help' | 'args'>): StepWord {
  const shape: Record<string, z.ZodType> = { op: z.literal(declaration.name) };
  const dataArguments: string[] = [];
  const bootArguments: string[] = [];
  for (const [name, schema] of Object.entries(declaration.args)) {
    if (NOT_ARGUMENTS.has(name)) continue;
    const { inner, optional } = unwrap(schema);
    if (inner === DATA) {
      dataArguments.push(name);
      shape[name] = optional ? dataArgument.optional() : dataArgument;
    } else shape[name] = schema as z.ZodType;
    if (inner === bootSchema) bootArguments.push(name);
  }
  const names = Object.keys(shape).filter((n) => n !== 'op');
  const schema = z.strictObject({ ...shape, ...stepCommon }).describe(declaration.help);
  const { name, help } = declaration;
  return { name, help, schema, dataArguments, bootArguments, arguments: names };
}

const words = [...OPS, ...SCENARIO_OPS].map(wordOf).sort((a, b) => (a.name < b.name ? -1 : 1));
const byName: ReadonlyMap<string, StepWord> = new Map(words.map((w) => [w.name, w]));

/** All operations, by name. */
export function stepWords(): readonly StepWord[] {
  return words;
}

export function stepWord(name: string): StepWord | undefined {
  return byName.get(name);
}
