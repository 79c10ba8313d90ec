// The scenario language as a JSON Schema (draft 2020-12), for editors: completion, hover texts, red lines.
// Generated from the zod schemas and from the step vocabulary; `kisim schema scenario` prints it.

import * as z from 'zod';
import { headSchema } from './schema.ts';
import { stepWords } from './vocabulary.ts';

/** The whole document as one zod schema, steps discriminated by `op`. */
function documentSchema(): z.ZodType {
  const [first, ...others] = stepWords().map((w) => w.schema);
  const step = first === undefined ? z.never() : z.discriminatedUnion('op', [first, ...others]);
  return headSchema.extend({ steps: z.array(step).describe('What happens, in order.') });
}

/** JSON Schema of scenario files. */
export function scenarioJsonSchema(): { readonly [key: string]: unknown } {
  const schema = z.toJSONSchema(documentSchema(), { io: 'input', reused: 'inline' });
  return { ...schema, title: 'kisim scenario' };
}

/** Text of schema/scenario.schema.json. */
export function schemaFileText(): string {
  return `${JSON.stringify(scenarioJsonSchema(), null, 2)}\n`;
}
