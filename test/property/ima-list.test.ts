// Laws of the measurement list under random accesses: the registers are the fold of the list in every bank,
// counters count, equal entries do not repeat, a state that went through JSON goes on as if nothing had
// happened.

import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { concat, isZero, toHex } from '../../src/base/bytes.ts';
import { decodeState, encodeState } from '../../src/base/json.ts';
import { toArray } from '../../src/base/list.ts';
import { crypto, digestSize, type HashName } from '../../src/crypto/provider.ts';
import { violationDigest } from '../../src/ima/template-show.ts';
import type { ImaState } from '../../src/ima/types.ts';
import { O_DIRECT, O_RDONLY, O_RDWR, O_WRONLY } from '../../src/vfs/constants.ts';
import type { FileId } from '../../src/vfs/types.ts';
import { World } from '../unit/ima/world.ts';

type Op =
  | { readonly op: 'write' | 'read' | 'truncate' | 'unlink'; readonly file: number; readonly text: string }
  | { readonly op: 'hold'; readonly file: number; readonly flags: number }
  | { readonly op: 'release' };

const FILES = ['/mnt/a', '/mnt/b', '/fat/c', '/tmp/d'];
const file = fc.nat(FILES.length - 1);
const anyOp: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    op: fc.constantFrom('write', 'read', 'truncate', 'unlink'),
    file,
    text: fc.constantFrom('x', 'yy', ''),
  }),
  fc.record({
    op: fc.constant('hold' as const),
    file,
    flags: fc.constantFrom(O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_DIRECT),
  }),
  fc.constant({ op: 'release' as const }),
);

const RULES = [
  'measure func=FILE_CHECK mask=MAY_READ pcr=11 fsname=vfat\n',
  'measure func=FILE_CHECK template=ima-sig fsname=ext4\n',
  'audit func=FILE_CHECK\nmeasure mask=^MAY_WRITE\n',
  'measure\nhash fsname=ext4\n',
];

function run(w: World, ops: readonly Op[]): void {
  const held: FileId[] = [];
  for (const o of ops) {
    if (o.op === 'release') {
      const f = held.pop();
      if (f !== undefined) w.close(f);
      continue;
    }
    const path = FILES[o.file] as string;
    if (o.op === 'hold') {
      const f = w.vfs.open(w.task(), path, o.flags, 0);
      if (f.ok) held.push(f.value);
    } else if (o.op === 'write') w.write(path, o.text);
    else if (o.op === 'read') w.read(path);
    else if (o.op === 'truncate') w.vfs.truncate(w.task(), path, 1);
    else w.vfs.unlink(w.task(), path);
  }
}

/** What the registers must be after the list, by the definition of extend. */
function fold(state: ImaState): Map<string, string> {
  const pcrs = new Map<string, Uint8Array>();
  for (const entry of toArray(state.list)) {
    const violation = isZero(entry.digests[state.sha1Idx] as Uint8Array);
    for (const [i, slot] of state.slots.entries()) {
      if (slot.bank === null) continue;
      const alg = slot.alg as HashName;
      const key = `${alg}:${entry.pcr}`;
      const digest = violation ? violationDigest(slot) : (entry.digests[i] as Uint8Array);
      const before = pcrs.get(key) ?? new Uint8Array(digestSize(alg));
      pcrs.set(key, crypto().hash(alg, concat(before, digest)));
    }
  }
  return new Map([...pcrs].map(([k, v]) => [k, toHex(v)]));
}

describe('measurement list', () => {
  test.prop(
    [
      fc.array(anyOp, { maxLength: 40, size: 'max' }),
      fc.constantFrom(...RULES),
      fc.constantFrom<readonly HashName[]>(
        ['sha1', 'sha256'],
        ['sha256'],
        ['sha512', 'sha3-256'],
        ['sha384'],
      ),
    ],
    { numRuns: 120 },
  )('replays to the registers of every bank', (ops, rules, banks) => {
    const w = new World({ banks, cmdline: 'ima_policy=tcb' });
    expect(w.upload(rules).err).toBe(0);
    run(w, ops);
    const { state } = w.ima;
    const held = new Map([...(w.chip?.pcrs ?? [])].map(([k, v]) => [k, toHex(v)]));
    expect(held).toEqual(fold(state));
    const entries = toArray(state.list);
    const violations = entries.filter((e) => isZero(e.digests[state.sha1Idx] as Uint8Array)).length;
    expect(state.violations).toBe(violations);
    const keys = entries
      .filter((e) => !isZero(e.digests[state.sha1Idx] as Uint8Array))
      .map((e) => `${e.pcr}:${toHex(e.digests[state.hashAlgoIdx] as Uint8Array)}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test.prop(
    [fc.array(anyOp, { maxLength: 20, size: 'max' }), fc.array(anyOp, { maxLength: 20, size: 'max' })],
    {
      numRuns: 60,
    },
  )('goes on from JSON as from memory', (before, after) => {
    const make = (): World => {
      const w = new World({ cmdline: 'ima_policy=tcb|appraise_tcb ima_appraise=log' });
      run(w, before);
      return w;
    };
    const [a, b] = [make(), make()];
    b.ima.state = decodeState(encodeState(b.ima.state)) as ImaState;
    run(a, after);
    run(b, after);
    expect(encodeState(b.ima.state)).toEqual(encodeState(a.ima.state));
  });
});
