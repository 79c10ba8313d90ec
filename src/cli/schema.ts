// `kisim schema`: the published forms. `scenario` is the JSON Schema for editors; `reasons` lists every
// reason code with its sentence and source.

import { Argument, Command } from 'commander';
import { allReasons } from '../base/reasons.ts';
import { out } from './terminal.ts';

async function schema(what: string): Promise<void> {
  if (what === 'scenario') {
    const { schemaFileText } = await import('../scenario/json-schema.ts');
    out(schemaFileText());
    return;
  }
  await import('../scenario/registry.ts');
  out(JSON.stringify(Object.fromEntries(allReasons()), null, 2));
}

export function schemaCommand(): Command {
  return new Command('schema')
    .addArgument(new Argument('<what>', 'which form').choices(['scenario', 'reasons']))
    .addHelpText(
      'before',
      'Examples:\n  kisim schema scenario > scenario.schema.json\n  kisim schema reasons\n',
    )
    .action(schema);
}
