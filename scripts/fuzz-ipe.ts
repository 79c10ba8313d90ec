// Mutated IPE policies: the linter and the kernel's verdict must agree on each, and nothing may throw.
//   npm run fuzz-ipe -- [--seed TEXT] [--count N]

import { parseArgs } from 'node:util';
import { disagreement, mutatedPolicies } from '../test/ipe-mutants.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, count: { type: 'string', default: '1000000' } },
});
const count = Number(values.count);
let rejected = 0;
let done = 0;
for (const text of mutatedPolicies(values.seed, count)) {
  const found = disagreement(text);
  if (found.problem !== null) {
    console.error(`policy ${done} of seed ${values.seed}: ${found.problem}\n${JSON.stringify(text)}`);
    process.exit(1);
  }
  if (found.rejected) rejected++;
  done++;
}
console.log(`${done} policies, ${rejected} rejected, verdict and diagnostics agree (seed ${values.seed})`);
