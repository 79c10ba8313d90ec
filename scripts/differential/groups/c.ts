// IMA's policy language: rows of random words, good and bad ones, one upload each.

import { type Case, type Dice, groupOf } from '../dice.ts';
import { EXCLUDE, policy, UUID } from '../walks.ts';

/** Words that policy lines are made of, good and bad ones. */
const WORDS = [
  'func=FILE_CHECK',
  'func=BPRM_CHECK',
  'func=MMAP_CHECK',
  'func=MODULE_CHECK',
  'func=KEXEC_CMDLINE',
  'func=KEY_CHECK',
  'func=CRITICAL_DATA',
  'func=SETXATTR_CHECK',
  'func=POLICY_CHECK',
  'func=PATH_CHECK',
  'func=NOPE',
  'mask=MAY_READ',
  'mask=^MAY_EXEC',
  'mask=^^MAY_READ',
  'mask=may_read',
  'fsmagic=0xef53',
  'fsmagic=ef53',
  'fsmagic=xyz',
  'fsname=ext4',
  `fsuuid=${UUID}`,
  'fsuuid=1234',
  'uid=64000',
  'uid>64000',
  'uid<7',
  'euid=5',
  'gid=64000',
  'egid>7',
  'fowner=0',
  'fowner<9',
  'fgroup>3',
  'uid=-1',
  'uid=4294967295',
  'uid=4294967296',
  'pcr=11',
  'pcr=64',
  'pcr=-1',
  'pcr=',
  'template=ima-sig',
  'template=ima-ng',
  'template=nope',
  'appraise_type=imasig',
  'appraise_type=imasig|modsig',
  'appraise_type=sigv3',
  'appraise_type=x',
  'digest_type=verity',
  'digest_type=ima',
  'appraise_flag=check_blacklist',
  'appraise_algos=sha256',
  'appraise_algos=sha1,sha512',
  'appraise_algos=',
  'permit_directio',
  'keyrings=.ima',
  'keyrings=.ima|.evm',
  'label=foo',
  'label=a|b',
  'obj_type=x',
  'subj_user=y',
  'nonsense',
  '#',
  '# uid=3',
  'UID=0',
] as const;
const ACTIONS = [
  'measure',
  'dont_measure',
  'appraise',
  'dont_appraise',
  'audit',
  'hash',
  'dont_hash',
  'dont_audit',
];

function policyLine(dice: Dice): string {
  const words = [dice.pick(ACTIONS), ...Array.from({ length: 1 + dice.below(5) }, () => dice.pick(WORDS))];
  const order = dice.chance(20) ? dice.shuffle(words) : words;
  return `${order.join(dice.pick([' ', ' ', '  ', '\t']))}${dice.pick(['', '\n', ' \n'])}`;
}

function rowsCase(dice: Dice): Case {
  const first = policy('dont_measure', [
    ...EXCLUDE.map((m) => `dont_appraise fsmagic=${m}`),
    'dont_measure uid=64999',
  ]);
  const rows = Array.from({ length: 150 }, () => ({ op: 'policy_row', data: policyLine(dice) }));
  return { about: 'random policy lines', cmdline: 'ima_appraise=log', ops: [first, ...rows] };
}

export const group = groupOf('IMA policy language', [[1, rowsCase]]);
