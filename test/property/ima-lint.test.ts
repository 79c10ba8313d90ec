// What lint says about rules that decide nothing, held against the match engine: a rule that is reported is
// never among the rules that matched, and for one that is not reported there is an access that it decides.

import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../../src/base/bytes.ts';
import * as C from '../../src/ima/constants.ts';
import { lintImaPolicy } from '../../src/ima/lint.ts';
import { classOf, PolicyAnalysis } from '../../src/ima/lint-dead.ts';
import { type Access, HOOK_PLACES, KNOWN_MAGIC } from '../../src/ima/lint-regions.ts';
import { matchPolicy } from '../../src/ima/policy-match.ts';
import { CAP_SETGID, CAP_SETUID } from '../../src/vfs/constants.ts';
import { World } from '../unit/ima/world.ts';

const UUIDS = ['11111111-2222-3333-4444-555555555555', '00000000-0000-0000-0000-000000000001'];
const NAMES = ['ext4', 'tmpfs', 'rootfs', 'strange'];
const MAGICS = ['ef53', '1021994', '858458f6', '77'];
const IDS = [0, 1, 5, 4294967294];
const ACTIONS = ['measure', 'dont_measure', 'appraise', 'dont_appraise', 'audit', 'hash', 'dont_hash'];
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
const condition = fc.oneof(
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
const good = line.filter((text) => lintImaPolicy(`${text}\n`).verdict === 'accepted');
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
const policy = fc.oneof(
  fc.array(good, { minLength: 1, maxLength: 8, size: 'max' }),
  fc.array(near, { minLength: 2, maxLength: 8, size: 'max' }),
);

const id = from(...IDS, 2, 1000);
const places = HOOK_PLACES.map(({ func, mask }) => ({ func, mask }));
const fileSystem = fc.oneof(
  from(...[...KNOWN_MAGIC].flatMap(([name, of]) => of.map((magic) => ({ name, magic })))),
  fc.record({ name: from('strange', 'unheard'), magic: from(...MAGICS, '99') }),
);
const access: fc.Arbitrary<Access> = fc
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

const base = new World();
base.write('/mnt/f', 'x');

/** Places of the rules that decide an access. */
function matched(w: World, a: Access): readonly number[] {
  const at = w.vfs.lookup(w.task(), '/mnt/f');
  if (!at.ok) throw new Error('no file');
  const inode = { ...w.vfs.inodeOf(at.value), uid: a.fowner, gid: a.fgroup };
  const sb = {
    ...w.vfs.superblock(inode.sb),
    type: (a.fs.name === '' ? 'other' : a.fs.name) as 'ext4',
    magic: Number.parseInt(a.fs.magic === '' ? 'abcdef' : a.fs.magic, 16),
    uuid: a.uuid === '' ? new Uint8Array(16).fill(7) : fromHex(a.uuid),
  };
  const [uid, euid, suid] = a.uids;
  const [gid, egid, sgid] = a.gids;
  const bit = (cap: number, on: boolean): bigint => (on ? 1n << BigInt(cap) : 0n);
  const caps = bit(CAP_SETUID, a.setuid) | bit(CAP_SETGID, a.setgid);
  const cred = { ...w.task().cred, uid, euid, suid, gid, egid, sgid, caps };
  const task = w.task({ cred });
  const funcData = a.func === C.KEY_CHECK ? a.keyring : a.func === C.CRITICAL_DATA ? a.label : null;
  const asks = HOOK_PLACES.find((h) => h.func === a.func && h.mask === a.mask);
  const flags = asks?.mustAppraise === true ? C.IMA_APPRAISE | C.IMA_HASH : 0x145;
  const subject = { task, cred, inode, sb, func: a.func, mask: a.mask, funcData };
  return matchPolicy(w.ima, subject, flags & w.ima.state.policy.flag).matched;
}

function loaded(lines: readonly string[]): { w: World; analysis: PolicyAnalysis } {
  const w = new World();
  w.write('/mnt/f', 'x');
  w.policy(...lines);
  return { w, analysis: new PolicyAnalysis(w.ima.state.policy.customRules) };
}

describe('rules that lint reports as dead', () => {
  test.prop([policy, fc.array(access, { minLength: 60, maxLength: 60 })], { numRuns: 150 })(
    'never match, and every other one decides some access',
    (lines, accesses) => {
      const { w, analysis } = loaded(lines);
      const reported = lines.flatMap((_, i) => {
        const kind = analysis.dead(i)?.kind;
        return kind === undefined || kind === 'setattr_only' || kind === 'hash_undone' ? [] : [i];
      });
      for (const a of accesses) {
        const hit = matched(w, a);
        expect(
          reported.filter((i) => hit.includes(i)),
          JSON.stringify(a),
        ).toEqual([]);
        for (const [i] of lines.entries())
          if (analysis.dead(i)?.kind === 'setattr_only' && hit.includes(i))
            expect(a.func).toBe(C.POST_SETATTR);
      }
      for (const [i, text] of lines.entries()) {
        const example = analysis.example(i);
        if (analysis.dead(i) === null) expect(example, text).not.toBeNull();
        if (example !== null) expect(matched(w, example), `${text} ${JSON.stringify(example)}`).toContain(i);
      }
    },
  );

  test.prop([fc.array(good, { maxLength: 3 }), fc.array(access, { minLength: 60, maxLength: 60 })], {
    numRuns: 40,
  })('a hash rule that is undone leaves no hash action', (lines, accesses) => {
    const all = ['hash func=FILE_CHECK', ...lines, 'appraise'];
    const { w, analysis } = loaded(all);
    const undone = analysis.dead(0)?.kind === 'hash_undone';
    fc.pre(undone);
    for (const a of accesses) {
      const hit = matched(w, a);
      if (!hit.includes(0)) continue;
      const appraises = hit.filter((i) => analysis.rules[i]?.action === C.APPRAISE);
      expect(appraises.length).toBe(1);
    }
  });

  it('are found among random policies, of each kind', () => {
    const kinds = new Set<string>();
    for (const lines of fc.sample(policy, { numRuns: 250, seed: 7 })) {
      const { analysis } = loaded(lines);
      for (const [i, rule] of analysis.rules.entries()) {
        const dead = analysis.dead(i);
        if (dead === null) continue;
        kinds.add(dead.by.length > 1 && dead.kind === 'shadowed' ? 'shadowed by several' : dead.kind);
        expect(dead.by.every((j) => dead.kind === 'hash_undone' || j < i)).toBe(true);
        expect(
          dead.by.every(
            (j) =>
              dead.kind !== 'shadowed' || classOf(analysis.rules[j]?.action ?? 0) === classOf(rule.action),
          ),
        ).toBe(true);
      }
    }
    expect([...kinds].sort()).toEqual([
      'hash_undone',
      'never',
      'nothing_to_except',
      'setattr_only',
      'shadowed',
      'shadowed by several',
    ]);
  });
});
