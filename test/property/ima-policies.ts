// Random IMA policies and accesses that both the analysis of lint and the comparison of policies are held
// against: rules that the kernel takes, close to each other often enough, and one access for each question.

import { fc } from '@fast-check/vitest';
import { lintImaPolicy } from '../../src/ima/lint.ts';
import { type Access, HOOK_PLACES, KNOWN_MAGIC } from '../../src/ima/lint-regions.ts';

const UUIDS = ['11111111-2222-3333-4444-555555555555', '00000000-0000-0000-0000-000000000001'];
const NAMES = ['ext4', 'tmpfs', 'rootfs', 'strange'];
const MAGICS = ['ef53', '1021994', '858458f6', '77'];
const IDS = [0, 1, 5, 4294967294];
export const ACTIONS = ['measure', 'dont_measure', 'appraise', 'dont_appraise', 'audit', 'hash', 'dont_hash'];
const FUNCS = [
  'FILE_CHECK',
  'MMAP_CHECK',
  'MMAP_CHECK_REQPROT',
  'BPRM_CHECK',
  'CREDS_CHECK',
  'MODULE_CHECK',
  'KEXEC_CMDLINE',
  'KEY_CHECK',
  'CRITICAL_DATA',
  'POLICY_CHECK',
];

const from = fc.constantFrom;
const idCondition = fc
  .tuple(from('uid', 'euid', 'gid', 'egid', 'fowner', 'fgroup'), from('=', '<', '>'), from(...IDS))
  .map((parts) => parts.join(''));
export const condition = fc.oneof(
  { weight: 3, arbitrary: from(...FUNCS).map((f) => `func=${f}`) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(from('', '^'), from('READ', 'WRITE', 'EXEC', 'APPEND'))
      .map(([c, m]) => `mask=${c}MAY_${m}`),
  },
  { weight: 2, arbitrary: from(...NAMES).map((n) => `fsname=${n}`) },
  { weight: 2, arbitrary: from(...MAGICS).map((m) => `fsmagic=0x${m}`) },
  { weight: 1, arbitrary: from(...UUIDS).map((u) => `fsuuid=${u}`) },
  { weight: 5, arbitrary: idCondition },
  { weight: 1, arbitrary: from('keyrings=.ima', 'keyrings=.ima|.evm', 'label=a', 'label=a|b') },
);
const line = fc
  .tuple(from(...ACTIONS), fc.uniqueArray(condition, { maxLength: 3, selector: (c) => c.split(/[=<>]/)[0] }))
  .map(([action, conditions]) => [action, ...conditions].join(' '));
/** Lines that the kernel takes. */
export const good = line.filter((text) => lintImaPolicy(`${text}\n`).verdict === 'accepted');
/** Lines that are close to each other, so that several of them often cover another one. */
const near = fc
  .tuple(
    from('measure', 'dont_measure'),
    from('', 'uid<1', 'uid>0', 'uid=0', 'euid=0', 'fowner<5', 'fowner>4'),
    from(
      'func=BPRM_CHECK',
      'func=BPRM_CHECK mask=MAY_EXEC',
      'func=FILE_CHECK mask=MAY_EXEC',
      'mask=^MAY_EXEC',
    ),
  )
  .map((words) => words.filter((w) => w !== '').join(' '));
export const policy = fc.oneof(
  fc.array(good, { minLength: 1, maxLength: 8, size: 'max' }),
  fc.array(near, { minLength: 2, maxLength: 8, size: 'max' }),
);

const id = from(...IDS, 2, 1000);
const places = HOOK_PLACES.map(({ func, mask }) => ({ func, mask }));
const fileSystem = fc.oneof(
  from(...[...KNOWN_MAGIC].flatMap(([name, of]) => of.map((magic) => ({ name, magic })))),
  fc.record({ name: from('strange', 'unheard'), magic: from(...MAGICS, '99') }),
);
export const access: fc.Arbitrary<Access> = fc
  .record({
    place: from(...places),
    fs: fileSystem,
    uuid: from(...UUIDS.map((u) => u.replaceAll('-', '')), ''),
    uids: fc.tuple(id, id, id),
    gids: fc.tuple(id, id, id),
    setuid: fc.boolean(),
    setgid: fc.boolean(),
    fowner: fc.oneof(id, from(0xffffffff)),
    fgroup: fc.oneof(id, from(0xffffffff)),
    keyring: from('.ima', '.evm', '.x'),
    label: from('a', 'b', 'c'),
  })
  .map(({ place, ...rest }) => ({ ...place, ...rest, lsm: [], extras: [] }));
