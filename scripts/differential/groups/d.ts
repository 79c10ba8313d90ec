// IMA appraisal: file operations with labels of each kind under random appraise rules.

import { type Case, type Dice, groupOf } from '../dice.ts';
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

export const group = groupOf('IMA appraisal', [[1, walkCase]]);
