// IMA appraisal: file operations with labels of each kind under random appraise rules; every hook with labels of its files.

import { type Case, type Dice, groupOf } from '../dice.ts';
import { anyPolicy, hookCmdline, prepare, useHooks } from '../hooks.ts';
import { appraiseRules, EXCLUDE, policy, walk, world } from '../walks.ts';

function walkCase(dice: Dice): Case {
  const w = world(dice, true);
  for (const key of ['ima1', 'ima3']) {
    w.ops.push({ op: 'add_key', type: 'asymmetric', desc: '', data: { cert: key }, ring: '%.ima' });
  }
  walk(w, 25);
  const both = policy('dont_appraise', appraiseRules(dice));
  const measure = EXCLUDE.map((m) => `dont_measure fsmagic=${m}\n`).join('');
  w.ops.push({ op: 'policy_row', data: `${measure}${String(both['data'])}` });
  walk(w, 85);
  const cmdline = dice.pick([
    '',
    '',
    '',
    'ima_appraise=fix',
    'ima_appraise=log',
    'ima_appraise=off',
    'ima_hash=sha512',
  ]);
  return { about: 'random operations and labels under appraise rules', cmdline, ops: w.ops };
}

function hooksCase(dice: Dice): Case {
  const ops = [...prepare(dice, 80), anyPolicy(dice, true), ...useHooks(dice, 60)];
  if (dice.chance(30)) ops.push(anyPolicy(dice, true), ...useHooks(dice, 25));
  return { about: 'random operations on every hook under appraise rules', cmdline: hookCmdline(dice), ops };
}

export const group = groupOf('IMA appraisal', [
  [1, walkCase],
  [3, hooksCase],
]);
