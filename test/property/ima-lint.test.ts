// What lint says about rules that decide nothing, held against the match engine: a rule that is reported is
// never among the rules that matched, and for one that is not reported there is an access that it decides.

import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../../src/base/bytes.ts';
import * as C from '../../src/ima/constants.ts';
import { classOf, PolicyAnalysis } from '../../src/ima/lint-dead.ts';
import { type Access, HOOK_PLACES } from '../../src/ima/lint-regions.ts';
import { matchPolicy } from '../../src/ima/policy-match.ts';
import { CAP_SETGID, CAP_SETUID } from '../../src/vfs/constants.ts';
import { World } from '../unit/ima/world.ts';
import { access, good, policy } from './ima-policies.ts';

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
