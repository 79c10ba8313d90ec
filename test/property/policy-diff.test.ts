// The comparison of policies, held against the engines that decide: on random pairs and random events it says
// "different" exactly where the match engine decides differently, and each witness is told apart by it.

import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../../src/base/bytes.ts';
import { diffIma, ImaComparison, type ImaDifference } from '../../src/check/policy-diff/ima-diff.ts';
import { type ImaSide, imaSide } from '../../src/check/policy-diff/ima-side.ts';
import { diffIpe, type IpeEvent } from '../../src/check/policy-diff/ipe-diff.ts';
import * as C from '../../src/ima/constants.ts';
import { lintImaPolicy } from '../../src/ima/lint.ts';
import { type Access, type AccessSpace, HOOK_PLACES, OTHER } from '../../src/ima/lint-regions.ts';
import { matchPolicy } from '../../src/ima/policy-match.ts';
import { LSM_FIELDS } from '../../src/ima/types.ts';
import { ipeEvaluateEvent } from '../../src/ipe/eval.ts';
import { ipeParsePolicy } from '../../src/ipe/parser.ts';
import type { IpeEvalContext } from '../../src/ipe/properties.ts';
import { IPE_PROPERTIES } from '../../src/ipe/properties.ts';
import { IPE_OPS, type IpeParsedPolicy } from '../../src/ipe/types.ts';
import { CAP_SETGID, CAP_SETUID } from '../../src/vfs/constants.ts';
import { World } from '../unit/ima/world.ts';
import { World as IpeWorld, TASK } from '../unit/ipe/world.ts';
import { access, good, policy } from './ima-policies.ts';

const from = fc.constantFrom;

/** Options that change what a rule decides, and labels. */
const optioned = fc
  .tuple(
    from('measure', 'dont_measure', 'appraise', 'dont_appraise', 'audit', 'hash'),
    from('', 'func=FILE_CHECK', 'func=BPRM_CHECK', 'func=MODULE_CHECK', 'func=MMAP_CHECK', 'func=KEY_CHECK'),
    from('', 'mask=MAY_READ', 'mask=^MAY_READ', 'fowner=0', 'uid=0', 'euid>4', 'fsname=ext4'),
    from('', 'obj_user=a', 'obj_user=b', 'subj_user=a', 'permit_directio', 'obj_user=a subj_user=c'),
    from(
      '',
      'pcr=0',
      'pcr=10',
      'pcr=11',
      'template=ima-ng',
      'template=ima-sig',
      'digest_type=verity',
      'digest_type=verity appraise_type=sigv3',
      'appraise_type=imasig',
      'appraise_type=imasig|modsig',
      'appraise_algos=sha256',
      'appraise_algos=sha256,sha512',
    ),
  )
  .map((words) => words.filter((w) => w !== '').join(' '))
  .filter((text) => lintImaPolicy(`${text}\n`).verdict === 'accepted');

const anyPolicy = fc.oneof(
  policy,
  fc.array(optioned, { minLength: 1, maxLength: 8, size: 'max' }),
  fc.array(fc.oneof(good, optioned), { minLength: 1, maxLength: 8, size: 'max' }),
);

/** A second policy that is often close to the first. */
const pair = fc
  .tuple(anyPolicy, anyPolicy, fc.nat(), from('other', 'drop', 'swap', 'add', 'double', 'reverse'))
  .map(([a, b, at, how]): readonly [readonly string[], readonly string[]] => {
    const i = at % a.length;
    const one = a[i] as string;
    if (how === 'drop') return [a, a.filter((_, j) => j !== i)];
    if (how === 'swap') return [a, [...a.slice(0, i), ...a.slice(i + 1), one]];
    if (how === 'add') return [a, [...a.slice(0, i), b[0] as string, ...a.slice(i)]];
    if (how === 'double') return [a, [...a, one]];
    return [a, how === 'reverse' ? [...a].reverse() : b];
  })
  .filter(([, b]) => b.length > 0);

const labelled = fc
  .tuple(access, from('a', 'b', OTHER), from('a', 'c', OTHER))
  .map(([a, obj, subj]): Access => ({ ...a, lsm: [obj, '', '', subj, '', ''] }));

function side(lines: readonly string[]): ImaSide {
  const read = imaSide('policy', `${lines.join('\n')}\n`);
  if (!read.ok) throw new Error(JSON.stringify(read.report));
  return read.side;
}

/** A machine with a policy whose security module gives the labels of the access that is asked about. */
class Judge {
  readonly #w: World;
  #labels: readonly string[] = [];

  constructor(lines: readonly string[]) {
    this.#w = new World({
      config: { CONFIG_IMA_LSM_RULES: 'y' },
      labels: {
        known: () => true,
        match: (_subject, field, value) => (this.#labels[LSM_FIELDS.indexOf(field)] === value ? 1 : 0),
      },
    });
    this.#w.write('/mnt/f', 'x');
    this.#w.policy(...lines);
  }

  /** What follows from the decision, as a text; the same text is the same decision. */
  decide(a: Access): string {
    const w = this.#w;
    this.#labels = a.lsm;
    const at = w.vfs.lookup(w.task(), '/mnt/f');
    if (!at.ok) throw new Error('no file');
    const inode = { ...w.vfs.inodeOf(at.value), uid: a.fowner, gid: a.fgroup };
    const sb = {
      ...w.vfs.superblock(inode.sb),
      type: (a.fs.name === OTHER ? 'other' : a.fs.name) as 'ext4',
      magic: Number.parseInt(a.fs.magic === OTHER ? 'abcdef' : a.fs.magic, 16),
      uuid: a.uuid === OTHER ? new Uint8Array(16).fill(7) : fromHex(a.uuid),
    };
    const [uid, euid, suid] = a.uids;
    const [gid, egid, sgid] = a.gids;
    const bit = (cap: number, on: boolean): bigint => (on ? 1n << BigInt(cap) : 0n);
    const caps = bit(CAP_SETUID, a.setuid) | bit(CAP_SETGID, a.setgid);
    const cred = { ...w.task().cred, uid, euid, suid, gid, egid, sgid, caps };
    const funcData = a.func === C.KEY_CHECK ? a.keyring : a.func === C.CRITICAL_DATA ? a.label : null;
    const subject = { task: w.task({ cred }), cred, inode, sb, func: a.func, mask: a.mask, funcData };
    const { flag } = w.ima.state.policy;
    if (HOOK_PLACES.some((h) => h.mustAppraise && h.func === a.func && h.mask === a.mask)) {
      const asked = a.func === C.POST_SETATTR ? (flag & C.IMA_APPRAISE) !== 0 : flag !== 0;
      const { action } = matchPolicy(w.ima, subject, C.IMA_APPRAISE | C.IMA_HASH);
      return String(asked && action !== 0);
    }
    const { action, pcr, template, allowedAlgos } = matchPolicy(w.ima, subject, 0x145 & flag);
    const measured = (action & C.IMA_MEASURE) !== 0;
    const buffer = a.func >= C.KEXEC_CMDLINE;
    const entry = measured ? `${buffer && pcr === 0 ? 10 : (pcr ?? 10)} ${template?.name ?? ''}` : 'none';
    return buffer ? entry : `${action >>> 0} ${entry} ${allowedAlgos}`;
  }
}

/** Where an access stands in the space of a comparison. */
function locate(space: AccessSpace, a: Access): readonly number[] {
  const interval = (starts: readonly number[], id: number): number =>
    starts.filter((s) => s <= id).length - 1;
  const named = (all: readonly string[], name: string): number => {
    const at = all.indexOf(name);
    return at < 0 ? all.indexOf(OTHER) : at;
  };
  const fs = space.fs.findIndex((f) => f.name === a.fs.name && f.magic === a.fs.magic);
  const [names, magics] = [space.fs.map((f) => f.name), space.fs.map((f) => f.magic)];
  const name = names.includes(a.fs.name) ? a.fs.name : OTHER;
  const free = space.fs.filter((f) => f.name === name).map((f) => f.magic);
  const magic = magics.includes(a.fs.magic) && free.includes(a.fs.magic) ? a.fs.magic : OTHER;
  return [
    space.hooks.findIndex((h) => h.func === a.func && h.mask === a.mask),
    fs >= 0 ? fs : space.fs.findIndex((f) => f.name === name && f.magic === magic),
    named(space.uuids, a.uuid),
    Number(a.setuid),
    ...a.uids.map((id) => interval(space.uids, id)),
    Number(a.setgid),
    ...a.gids.map((id) => interval(space.gids, id)),
    interval(space.owners, a.fowner),
    interval(space.groups, a.fgroup),
    named(space.keyrings, a.keyring),
    named(space.labels, a.label),
    ...space.lsm.map((values, i) => named(values, a.lsm[i] ?? OTHER)),
  ];
}

/** Whether the comparison says that an access is decided differently. */
function claims(comparison: ImaComparison, a: Access): boolean {
  const point = locate(comparison.space, a);
  const { diagrams } = comparison;
  return comparison.aspects().some(([x, y]) => diagrams.at(x, point) !== diagrams.at(y, point));
}

function apart(found: readonly ImaDifference[], old: Judge, now: Judge): void {
  for (const { access: a, row } of found)
    expect(old.decide(a) === now.decide(a), `${row.kind}: ${JSON.stringify(a)}`).toBe(false);
}

describe('the comparison of IMA policies', () => {
  test.prop([pair, fc.array(labelled, { minLength: 80, maxLength: 80 })], {
    numRuns: 40,
    endOnFailure: true,
  })('says different exactly where the match engine decides differently', ([a, b], accesses) => {
    const [old, now] = [new Judge(a), new Judge(b)];
    const comparison = new ImaComparison(side(a), side(b));
    for (const one of accesses)
      expect(claims(comparison, one), JSON.stringify(one)).toBe(old.decide(one) !== now.decide(one));
    const found = comparison.differences();
    apart(found, old, now);
    const differs = accesses.some((one) => claims(comparison, one));
    if (differs) expect(found.length).toBeGreaterThan(0);
  });

  test.prop([anyPolicy, fc.array(labelled, { minLength: 1000, maxLength: 1000 })], {
    numRuns: 5,
    endOnFailure: true,
  })('finds an equivalent rewrite equivalent, and 1,000 events do not tell it apart', (lines, accesses) => {
    // What never decides anything may stand anywhere; a rule may be said twice, the second time behind.
    const rewritten = [
      ...lines.flatMap((l) => (l.includes('fowner') ? [l, l] : [l])),
      ...lines.filter((l) => !l.startsWith('hash')),
    ];
    const { diff } = diffIma(side(lines), side(rewritten));
    const [old, now] = [new Judge(lines), new Judge(rewritten)];
    expect(diff.rows).toEqual([]);
    for (const one of accesses) expect(old.decide(one)).toBe(now.decide(one));
  });

  it('meets equivalent pairs, and every kind of difference', () => {
    const seen = new Set<string>();
    let equivalent = 0;
    const otherwise: readonly [string[], string[]] = [
      ['appraise func=FILE_CHECK digest_type=verity appraise_type=sigv3'],
      ['appraise func=FILE_CHECK appraise_type=imasig'],
    ];
    for (const [a, b] of [otherwise, ...fc.sample(pair, { numRuns: 150, seed: 11 })]) {
      const { diff } = diffIma(side(a), side(b));
      if (diff.equivalent) equivalent++;
      for (const row of diff.rows) seen.add(row.kind);
    }
    expect(equivalent).toBeGreaterThan(5);
    expect([...seen].sort()).toEqual([
      'audited otherwise',
      'denied otherwise',
      'label newly kept',
      'label no longer kept',
      'measured otherwise',
      'newly allowed',
      'newly audited',
      'newly denied',
      'newly hashed',
      'newly measured',
      'newly unmeasured',
      'no longer audited',
      'no longer hashed',
      'other flags',
    ]);
  });

  test.prop([pair], { numRuns: 30, endOnFailure: true })('agrees with itself turned round', ([a, b]) => {
    const there = diffIma(side(a), side(b)).diff;
    const back = diffIma(side(b), side(a)).diff;
    expect(back.rows.length).toBe(there.rows.length);
    expect(back.newImpliesOld).toBe(there.oldImpliesNew);
    expect(diffIma(side(a), side(a)).diff.equivalent).toBe(true);
  });
});

const HASH = ['aa', 'bb'].map((x) => x.repeat(32));
const property = fc.oneof(
  fc
    .tuple(from('boot_verified', 'dmverity_signature', 'fsverity_signature'), from('TRUE', 'FALSE'))
    .map((p) => p.join('=')),
  fc
    .tuple(from('dmverity_roothash', 'fsverity_digest'), from('sha256', 'sha512', 'nonsense'), from(...HASH))
    .map(([name, alg, hex]) => `${name}=${alg}:${hex}`),
);
const action = from('action=ALLOW', 'action=DENY');
const ipeRule = fc
  .tuple(from('EXECUTE', 'EXECUTE', 'KMODULE', 'POLICY'), fc.array(property, { maxLength: 3 }), action)
  .map(([op, props, end]) => [`op=${op}`, ...props, end].join(' '));
const ipePolicy = fc
  .tuple(action, fc.subarray([...IPE_OPS]), fc.array(ipeRule, { maxLength: 6 }), action, fc.boolean())
  .map(([end, ops, rules, opEnd, all]) => {
    const defaults = (all ? IPE_OPS : ops).map((op) => `DEFAULT op=${op} ${opEnd}`);
    const global = all ? [] : [`DEFAULT ${end}`];
    return ['policy_name=p policy_version=1.0.0', ...global, ...defaults, ...rules, ''].join('\n');
  });

const digest = from(...HASH.map(fromHex), new Uint8Array(32));
const ipeContext: fc.Arbitrary<IpeEvalContext> = fc
  .record({
    op: from(...IPE_OPS, null),
    initramfs: from(false, false, true),
    device: fc.option(fc.record({ rootHash: digest, signed: fc.boolean() })),
    verity: fc.option(digest),
    signed: fc.boolean(),
  })
  .map(
    ({ op, initramfs, device, verity, signed }) =>
      ({
        task: TASK,
        op,
        hook: 'BPRM_CHECK',
        file: null,
        inode: initramfs ? {} : { verity: verity === null ? null : { alg: 'sha256', digest: verity } },
        device: initramfs || device === null ? null : { verity: { alg: 'sha256', ...device } },
        initramfs,
        fsVeritySigned: !initramfs && verity !== null && signed,
      }) as unknown as IpeEvalContext,
  );

function parsed(text: string): IpeParsedPolicy {
  const result = ipeParsePolicy(text, IPE_PROPERTIES);
  if (!result.ok) throw new Error(text);
  return result.policy;
}

const engines = new Map<string, IpeWorld>();

function decides(text: string, context: IpeEvalContext): string {
  const world = engines.get(text) ?? new IpeWorld();
  if (!engines.has(text)) world.ipe.init(text);
  engines.set(text, world);
  return String(ipeEvaluateEvent(world.ipe, context));
}

/** An event of a difference as the engine sees one. */
function contextOf(e: IpeEvent): IpeEvalContext {
  const bytes = (d: string | null): { alg: string; digest: Uint8Array } => {
    const [alg = 'sha256', hex = '00'.repeat(32)] = d?.split(':') ?? [];
    return { alg, digest: fromHex(hex) };
  };
  const root = bytes(e.roothash);
  const device = e.roothash !== null || e.dmveritySignature;
  const verity = e.fsverityDigest !== null || e.fsveritySignature;
  return {
    task: TASK,
    op: e.op,
    hook: 'BPRM_CHECK',
    file: null,
    inode: { verity: verity ? bytes(e.fsverityDigest) : null },
    device: device ? { verity: { alg: root.alg, rootHash: root.digest, signed: e.dmveritySignature } } : null,
    initramfs: e.bootVerified,
    fsVeritySigned: e.fsveritySignature,
  } as unknown as IpeEvalContext;
}

describe('the comparison of IPE policies', () => {
  test.prop([ipePolicy, ipePolicy, fc.array(ipeContext, { minLength: 40, maxLength: 40 })], {
    numRuns: 100,
    endOnFailure: true,
  })('says different exactly where the evaluation decides differently', (a, b, contexts) => {
    const { diff, differences } = diffIpe(parsed(a), parsed(b));
    for (const { event } of differences) {
      const context = contextOf(event);
      if (event.bootVerified) expect(context.device ?? context.inode?.verity).toBeNull();
      expect(decides(a, context), JSON.stringify(event)).not.toBe(decides(b, context));
    }
    const apart = contexts.filter((c) => decides(a, c) !== decides(b, c));
    if (diff.equivalent) expect(apart).toEqual([]);
    if (apart.length > 0) expect(diff.rows.length).toBeGreaterThan(0);
    for (const c of apart) {
      const kind = decides(a, c) === '0' ? 'newly denied' : 'newly allowed';
      const mine = diff.rows.filter((r) => r.kind === kind);
      expect(mine.some((r) => r.regions.some((t) => t === 'every event' || /op=/.test(t)))).toBe(true);
    }
  });
});
