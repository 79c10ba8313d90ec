// Writes seeded random cases in the form that the real kernel's runner takes (walks.ts and systems.ts make them).
//   npx tsx scripts/differential/generate.ts --kind KIND --seed N --count M --out DIR

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bootPolicyCase, execCase, grammarCase, kernelReadCase, nodesCase, signatureCase } from './ipe.ts';
import { SYSTEM_KINDS } from './systems.ts';
import { dmVerityCase, fsVerityCase } from './verity.ts';
import { Dice, evmCase, KINDS } from './walks.ts';

const IPE_KINDS: typeof KINDS = {
  'ipe-grammar': grammarCase,
  'ipe-signatures': signatureCase,
  'ipe-nodes': nodesCase,
  'ipe-exec': execCase,
  'ipe-reads': kernelReadCase,
  'ipe-boot': bootPolicyCase,
  'ipe-fsverity': fsVerityCase,
  'ipe-dmverity': dmVerityCase,
};

const ALL_KINDS: typeof KINDS = { ...KINDS, evm: evmCase, ...SYSTEM_KINDS, ...IPE_KINDS };

const { values } = parseArgs({
  options: {
    kind: { type: 'string', default: 'tcb' },
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});
const make = ALL_KINDS[values.kind];
if (make === undefined || values.out === undefined) {
  console.error(`usage: generate.ts --kind ${Object.keys(ALL_KINDS).join('|')} --seed N --count M --out DIR`);
  process.exit(2);
}
mkdirSync(values.out, { recursive: true });
for (let i = 0; i < Number(values.count); i++) {
  const seed = Number(values.seed) + i;
  const name = `z-${values.kind}-${seed}`;
  const made = make(new Dice(`${values.kind} ${seed}`));
  const group =
    {
      tcb: 'a',
      measure: 'a',
      appraise: 'd',
      grammar: 'c',
      evm: 'e',
      boot: 'a',
      mixed: 'x',
      kexec: 'g',
      ipe: 'f',
    }[values.kind.replace(/-.*/, '')] ?? 'z';
  writeFileSync(join(values.out, `${name}.json`), `${JSON.stringify({ name, group, ...made })}\n`);
}
