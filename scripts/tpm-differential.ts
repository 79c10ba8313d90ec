// Random commands to kisim's TPM and to swtpm, answers compared octet by octet.
//   npm run tpm-differential -- --seed N --commands M [--port P] [--only NAME]
// Each difference is printed with its command; equal seeds give equal commands. Ends with 1 when answers
// differed.

import { parseArgs } from 'node:util';
import { Dice } from './tpm-differential/dice.ts';
import { Kisim, Swtpm } from './tpm-differential/peers.ts';
import { type Difference, Walk } from './tpm-differential/walk.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    commands: { type: 'string', default: '2000' },
    port: { type: 'string', default: '23210' },
    verbose: { type: 'boolean', default: false },
  },
});
const total = Number(values.commands);
const port = Number(values.port);
if (!(total > 0) || !(port > 0)) {
  console.error('usage: tpm-differential --seed N --commands M [--port P] [--verbose]');
  process.exit(2);
}

const found: Difference[] = [];
const successes = new Map<string, number>();
let sent = 0;
let runs = 0;
while (sent < total) {
  const dice = new Dice(`${values.seed} ${runs}`);
  const swtpm = await Swtpm.start(port + 2 * (runs % 500));
  const kisim = new Kisim(`${values.seed} ${runs}`);
  const walk = new Walk(dice, kisim, swtpm);
  await walk.start();
  // A difference leaves the two in different states: the next walk begins with new ones.
  for (let i = 0; i < 400 && sent + walk.count < total; i++) if (!(await walk.step())) break;
  swtpm.stop();
  sent += walk.count;
  runs++;
  for (const d of walk.differences) {
    found.push(d);
    console.log(`walk ${runs - 1}: ${d.command}: kisim ${d.kisim}, swtpm ${d.swtpm}`);
    if (values.verbose) console.log(`    ${d.detail}`);
  }
  for (const [name, n] of walk.successes) successes.set(name, (successes.get(name) ?? 0) + n);
}
const classes = new Map<string, number>();
for (const d of found) {
  const key = `${d.command}: kisim ${d.kisim}, swtpm ${d.swtpm}`;
  classes.set(key, (classes.get(key) ?? 0) + 1);
}
const good = [...successes.values()].reduce((a, b) => a + b, 0);
console.log(`${sent} commands in ${runs} walks, ${good} succeeded in both (${successes.size} different)`);
console.log(`${found.length} differences of ${classes.size} classes`);
for (const [key, n] of [...classes].sort((a, b) => b[1] - a[1]))
  console.log(`${String(n).padStart(5)}  ${key}`);
process.exit(found.length === 0 ? 0 : 1);
