// Compares the VFS with this machine's own kernel: random operation sequences on both, as root in a chroot.
//   npx tsx scripts/vfs-host/run.ts DIR tmpfs|ext4 RUNS LENGTH [SEED] [all|xattr|mounts|overlay|metacopy]
// DIR lies on a file system of the named type. Prints every sequence that differs, cut to its shortest
// prefix. Needs Linux, root and python3; not a part of the test suite, which has the same comparison
// through node:fs.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Random, seedRandom } from '../../src/base/random.ts';
import type { FsType } from '../../src/vfs/types.ts';
import { type Op, type RunResult, randomMountOps, randomOps, randomXattrOps, Simulated } from './ops.ts';

const [dir = '/dev/shm', type = 'tmpfs', runs = '100', length = '40', seed = '1', kind = 'all'] =
  process.argv.slice(2);
const LOWER = 20;
const overlay = kind === 'overlay' || kind === 'metacopy';
const metacopy = kind === 'metacopy' ? 'on' : 'off';
const sysctl = (name: string): number => Number(readFileSync(`/proc/sys/fs/protected_${name}`, 'utf8'));
const settings = {
  protectedSymlinks: sysctl('symlinks'),
  protectedHardlinks: sysctl('hardlinks'),
  protectedFifos: sysctl('fifos'),
  protectedRegular: sysctl('regular'),
};

function onHost(lists: readonly (readonly Op[])[]): RunResult[] {
  const base = mkdtempSync(`${dir}/vfs-`);
  try {
    const input = JSON.stringify({
      base,
      runs: lists,
      mounts: kind === 'mounts',
      ...(overlay ? { lower: LOWER, metacopy } : {}),
    });
    const out = execFileSync('python3', [new URL('./host.py', import.meta.url).pathname], {
      input,
      maxBuffer: 1 << 30,
    });
    return out
      .toString()
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l) as RunResult);
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

const lists = Array.from({ length: Number(runs) }, (_, i) => {
  const random = new Random(seedRandom(`${seed}/${i}`));
  const make = kind === 'xattr' ? randomXattrOps : kind === 'mounts' ? randomMountOps : randomOps;
  const ops = make((n) => random.u32() % n, Number(length), overlay);
  // metacopy brings redirects with it, which the simulation leaves out.
  return metacopy === 'on' ? ops.map((op) => (op.op === 'rename' ? { op: 'stat', path: '/a' } : op)) : ops;
});
const host = onHost(lists);
let bad = 0;
const kinds = new Map<string, number>();
const ok = new Map<string, number>();
for (const [i, all] of lists.entries()) {
  const ops = overlay ? all.slice(LOWER) : all;
  const want = host[i];
  if (want === undefined) throw new Error('host gave no result');
  const machine = new Simulated(type as FsType, settings);
  if (kind === 'mounts') machine.enterMount();
  if (overlay) machine.enterOverlay(all.slice(0, LOWER), metacopy);
  const got = machine.run(ops);
  const at = ops.findIndex((_, k) => JSON.stringify(got.ops[k]) !== JSON.stringify(want.ops[k]));
  for (const [k, op] of ops.entries()) {
    const key = `${op.op} ${want.ops[k]?.[0]}`;
    ok.set(key, (ok.get(key) ?? 0) + 1);
  }
  const trees = JSON.stringify(got.tree) !== JSON.stringify(want.tree);
  if (at < 0 && !trees) continue;
  bad++;
  const key = at < 0 ? 'tree' : `${ops[at]?.op} host ${want.ops[at]?.[0]} ours ${got.ops[at]?.[0]}`;
  const seen = kinds.get(key) ?? 0;
  kinds.set(key, seen + 1);
  if (seen > 0) continue;
  console.log(`--- run ${i}: ${key}`);
  if (at >= 0) {
    for (const op of overlay ? all.slice(0, LOWER) : [])
      console.log(`lower ${JSON.stringify(op).slice(0, 200)}`);
    for (const [k, op] of ops.slice(0, at + 1).entries())
      console.log(`${JSON.stringify(op).slice(0, 200)} => ${JSON.stringify(want.ops[k]).slice(0, 160)}`);
    console.log(`ours: ${JSON.stringify(got.ops[at]).slice(0, 300)}`);
  } else {
    for (const [k, e] of want.tree.entries())
      if (JSON.stringify(e) !== JSON.stringify(got.tree[k])) {
        console.log(
          `host ${JSON.stringify(e).slice(0, 400)}\nours ${JSON.stringify(got.tree[k])?.slice(0, 400)}`,
        );
        const name = e[0].split('/').pop() ?? '';
        for (const [n, op] of ops.entries())
          if (JSON.stringify(op).includes(`/${name}`))
            console.log(`  ${JSON.stringify(op).slice(0, 150)} => ${want.ops[n]?.[0]}`);
        break;
      }
  }
}
console.log([...kinds].sort((a, b) => b[1] - a[1]));
if (process.env['SHOW'] === '1') console.log([...ok].sort());
console.log(`${bad} of ${lists.length} runs differ`);
process.exitCode = bad === 0 ? 0 : 1;
