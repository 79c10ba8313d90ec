// The search itself: states that are equal whatever the order, depths, shards, shrinking, and what a counterexample says.

import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { StateKeys } from '../../../src/check/abstract.ts';
import { campaign, verdictLine } from '../../../src/check/campaign.ts';
import { counterexample, replayCounterexample } from '../../../src/check/counterexample.ts';
import { exhaustive } from '../../../src/check/exhaustive.ts';
import { powersNamed, propertiesNamed, UnknownName } from '../../../src/check/names.ts';
import { POWERS } from '../../../src/check/powers/table.ts';
import { candidates, replay, startNode } from '../../../src/check/search.ts';
import { shrink } from '../../../src/check/shrink.ts';
import { View } from '../../../src/check/view.ts';
import { act, machineWith, searchOf, subjectOfText } from './world.ts';

const BPRM = 'appraise func=BPRM_CHECK appraise_type=imasig';
const MMAP = 'appraise func=MMAP_CHECK mask=MAY_EXEC appraise_type=imasig';
const FILE = 'dont_appraise fsmagic=0x73636673\nappraise func=FILE_CHECK mask=^MAY_READ appraise_type=imasig';
const weak = subjectOfText(machineWith(BPRM));
const strong = subjectOfText(machineWith(`${BPRM}\n${MMAP}\n${FILE}`));
const USER = { uid: 1000, gid: 1000, actor: 'user' };

describe('abstract states', () => {
  const write = (name: string): { op: string; path: string; data: string; as: object } => ({
    op: 'write',
    path: `/tmp/${name}`,
    data: name,
    as: { actor: 'root' },
  });

  it('are equal when the same was done in another order', () => {
    const keys = new StateKeys();
    const [a, b] = [act(weak, write('a'), write('b')), act(weak, write('b'), write('a'))].map(
      (t) => t.at(-1)?.after,
    );
    if (a === undefined || b === undefined) throw new Error('no step');
    expect(keys.of(a, [])).toBe(keys.of(b, []));
    expect(keys.of(a, ['x'])).not.toBe(keys.of(b, ['y']));
  });

  it.each([
    ['content', { op: 'write', path: '/mnt/stranger', data: 'x' }],
    ['mode', { op: 'chmod', path: '/mnt/stranger', mode: '0700' }],
    ['owner', { op: 'chown', path: '/mnt/stranger', to_uid: 5 }],
    [
      'label',
      { op: 'setxattr', path: '/mnt/stranger', name: 'security.ima', data: { ima_hash: 'sha256', of: 'x' } },
    ],
    ['name', { op: 'rename', path: '/mnt/stranger', to: '/mnt/renamed' }],
    ['descriptor', { op: 'open', path: '/mnt/stranger', slot: 's' }],
    ['mapping', { op: 'mmap', path: '/mnt/stranger', prot: 'r', map: 'm' }],
    ['mount', { op: 'mount', src: 'none', target: '/tmp', type: 'tmpfs' }],
    ['policy', { op: 'policy_row', data: 'audit func=BPRM_CHECK\n' }],
    ['verdict in the cache', { op: 'exec', path: '/mnt/sh' }],
    ['register', { op: 'pcr_extend', pcr: 16, data: 'x' }],
    ['module', { op: 'finit_module', path: '/mnt/driver.ko' }],
  ])('differ by %s', (_, form) => {
    const keys = new StateKeys();
    const after = act(weak, form).at(-1)?.after;
    if (after === undefined) throw new Error('no step');
    expect(keys.of(after, [])).not.toBe(keys.of(weak.start, []));
  });

  it('are equal when only time passed', () => {
    const keys = new StateKeys();
    const after = act(weak, { op: 'sleep', ms: 5 }, { op: 'stat', path: '/mnt/app' }).at(-1)?.after;
    // The process that acted exists now; it holds nothing.
    expect(after === undefined ? '' : keys.of(after, [])).toBe(keys.of(weak.start, []));
  });
});

describe('the exhaustive engine', () => {
  it('finds a shortest counterexample, or says how much it searched', () => {
    const found = exhaustive(searchOf(weak, 'only-signed-code-runs', 'unprivileged-user'), { depth: 3 });
    expect(found.broken?.actions.length).toBe(1);
    const clean = exhaustive(searchOf(strong, 'only-signed-code-runs', 'unprivileged-user'), { depth: 2 });
    expect(clean.broken).toBeNull();
    expect(clean.complete).toBe(true);
    expect(clean.states).toBeGreaterThan(10);
    expect(clean.transitions).toBeGreaterThan(clean.states);
  });

  it('searches all of it in shards, each a part of the first actions', () => {
    const whole = exhaustive(searchOf(strong, 'only-signed-code-runs', 'unprivileged-user'), { depth: 1 });
    const parts = [0, 1, 2].map((index) =>
      exhaustive(searchOf(strong, 'only-signed-code-runs', 'unprivileged-user'), {
        depth: 1,
        shard: { index, of: 3 },
      }),
    );
    expect(parts.reduce((n, p) => n + p.transitions, 0)).toBe(whole.transitions);
    expect(parts.every((p) => p.transitions > 0)).toBe(true);
  });

  it('ends when it is told to, and says that it is not complete', () => {
    const cut = exhaustive(searchOf(strong, 'only-signed-code-runs', 'unprivileged-user'), {
      depth: 3,
      stop: () => true,
    });
    expect(cut.complete).toBe(false);
  });
});

describe('shrinking', () => {
  it('leaves out what is not needed, and keeps restarts whole', () => {
    const search = searchOf(weak, 'only-signed-code-runs', 'unprivileged-user');
    const useless = { kind: 'x', steps: [{ op: 'write', path: '/tmp/useless', data: 'x', as: USER }] };
    const needed = {
      kind: 'y',
      steps: [
        { op: 'stat', path: '/mnt', as: USER },
        { op: 'mmap', path: '/mnt/stranger', prot: 'rx', as: USER },
      ],
    };
    const broken = replay(search, [useless, needed, useless]);
    if (broken === null) throw new Error('nothing is broken');
    expect(shrink(search, broken).actions).toEqual([{ kind: 'y', steps: [needed.steps[1]] }]);
    const whole = replay(search, [{ ...needed, whole: true }]);
    expect(whole === null ? [] : shrink(search, whole).actions[0]?.steps).toHaveLength(2);
  });
});

describe('counterexamples', () => {
  it('are scenarios with a word on each step, and replay', () => {
    const search = searchOf(weak, 'only-signed-code-runs', 'unprivileged-user');
    const { broken } = exhaustive(search, { depth: 2 });
    if (broken === null) throw new Error('nothing is broken');
    const found = counterexample(weak, broken);
    const document = parse(found.text) as {
      readonly steps: readonly Record<string, unknown>[];
      readonly about: string;
      readonly machine: { readonly seed: string };
    };
    const attack = document.steps.slice(weak.setup.length);
    expect(attack).toHaveLength(found.steps);
    expect(attack.every((s) => typeof s['note'] === 'string')).toBe(true);
    expect(attack.at(-1)).toMatchObject({ id: 'broken', expect: { err: 'OK' } });
    expect(document.about).toContain(broken.finding.suggestion);
    expect(document.machine.seed).toBe('a small machine');
    expect(replayCounterexample(found)?.same).toBe(true);
  });

  it('do not count as the same when something else happens', () => {
    const { broken } = exhaustive(searchOf(weak, 'only-signed-code-runs', 'unprivileged-user'), { depth: 2 });
    if (broken === null) throw new Error('nothing is broken');
    const found = counterexample(weak, broken);
    expect(
      replayCounterexample({
        ...found,
        text: found.text.replace(
          'appraise func=BPRM_CHECK appraise_type=imasig\n',
          'audit func=BPRM_CHECK\n',
        ),
      })?.same,
    ).toBe(false);
  });
});

describe('powers and promises', () => {
  it('have names of their own and at least forty kinds of action, which all can be read', () => {
    const kinds = POWERS.flatMap((p) => p.kinds.map((k) => k.name));
    expect(new Set(kinds).size).toBeGreaterThanOrEqual(40);
    expect(new Set(POWERS.map((p) => p.name)).size).toBe(POWERS.length);
    const view = new View(weak, weak.start);
    for (const kind of new Set(POWERS.flatMap((p) => p.kinds)))
      for (const { steps } of kind.candidates(view))
        for (const form of steps) expect(() => weak.reader.read(form)).not.toThrow();
  });

  it('draw the same actions from the same machine', () => {
    const search = searchOf(weak, 'no-stale-verdict', 'root-without-keys+racer+mounter');
    expect(candidates(search, startNode(search))).toEqual(candidates(search, startNode(search)));
  });

  it('are found by name, with a hint for a word that is near', () => {
    expect(() => propertiesNamed(['only-signed-code-run'])).toThrow(UnknownName);
    try {
      powersNamed('root-without-key');
    } catch (e) {
      expect((e as UnknownName).help).toContain('root-without-keys');
    }
    expect(powersNamed('racer+racer + mounter').map((p) => p.name)).toEqual(['racer', 'mounter']);
  });
});

describe('a campaign', () => {
  it('gives the same report for the same seed', () => {
    const run = (): unknown =>
      campaign(weak, {
        properties: propertiesNamed(['only-signed-code-runs']),
        powers: powersNamed('unprivileged-user'),
        engine: { kind: 'random', runs: 50, seed: 3 },
      });
    expect(run()).toEqual(run());
  });

  it('repeats a random run by its path', () => {
    const options = {
      properties: propertiesNamed(['only-signed-code-runs']),
      powers: powersNamed('unprivileged-user'),
    };
    const first = campaign(weak, { ...options, engine: { kind: 'random', runs: 50, seed: 3 } });
    const again = campaign(weak, {
      ...options,
      engine: { kind: 'random', runs: 1, seed: 3, path: first.path ?? '' },
    });
    expect(again.found?.steps).toBe(first.found?.steps);
    expect(again.transitions).toBeLessThan(first.transitions);
  });

  it('says which rules had a say', () => {
    const report = campaign(strong, {
      properties: propertiesNamed(['only-signed-code-runs']),
      powers: powersNamed('unprivileged-user'),
      engine: { kind: 'exhaustive', depth: 2 },
    });
    expect(report.rules.map((r) => r.matched > 0)).toEqual([true, true, false, true]);
    expect(verdictLine(report)).toBe(
      `no counterexample up to depth 2: ${report.states} states, ${report.transitions} transitions`,
    );
  });
});
