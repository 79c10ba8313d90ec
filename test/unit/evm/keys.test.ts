// The machine behind the node `evm`: its table walks like it, every path of xstate/graph ends where the kernel's bit
// arithmetic ends, and the node answers to writes as recorded.

import { describe, expect, it } from 'vitest';
import { initialTransition, transition } from 'xstate';
import { getShortestPaths, getSimplePaths } from 'xstate/graph';
import { latin1 } from '../../../src/base/bytes.ts';
import { step } from '../../../src/base/table.ts';
import {
  KEY_EVENTS,
  KEY_WORD,
  type KeyEvent,
  type KeyState,
  keyMachine,
  keyState,
  keyTable,
  withKeyBits,
} from '../../../src/evm/keys.machine.ts';
import type { Machine } from '../../../src/kernel/machine.ts';
import { machine, read, write } from '../kernel/machines.ts';

const EVENTS = [...KEY_EVENTS.map(([type]) => type), 'BOOT_X509' as const].map((type) => ({ type }));
const BIT = new Map(KEY_EVENTS);
const COMPLETE = 0x80000000;

/** What the kernel does with one bit: nothing after the set-up, HMAC implies its end and clears metadata writes. */
function arithmetic(word: number, event: KeyEvent): number {
  if (event === 'BOOT_X509') return (word | 2) >>> 0;
  if (word >= COMPLETE) return word;
  const next = (word | (BIT.get(event) ?? 0)) >>> 0;
  return event === 'HMAC' ? ((next | COMPLETE) & ~4) >>> 0 : next;
}

describe('the key machine', () => {
  it('has a state for every word that can be reached, and no other', () => {
    const words = new Set([0]);
    for (const word of words) for (const { type } of EVENTS) words.add(arithmetic(word, type));
    expect([...words].sort()).toEqual(Object.values(KEY_WORD).sort());
    expect([...keyTable.states].sort()).toEqual(Object.keys(KEY_WORD).sort());
    for (const state of keyTable.states) expect(keyState(KEY_WORD[state])).toBe(state);
  });

  it('walks every path like its table and like the arithmetic', () => {
    const paths = getSimplePaths(keyMachine, { events: EVENTS });
    expect(paths).toHaveLength(28);
    for (const path of paths) {
      let state: KeyState = keyTable.initial;
      let word = 0;
      for (const { event } of path.steps) {
        if (event.type.startsWith('xstate.')) continue;
        state = step(keyTable, state, event.type as KeyEvent);
        word = arithmetic(word, event.type as KeyEvent);
      }
      expect(path.state.value).toBe(state);
      expect(KEY_WORD[state]).toBe(word);
    }
  });

  it('reaches every state in at most three steps', () => {
    const shortest = getShortestPaths(keyMachine, { events: EVENTS });
    expect(shortest.map((p) => p.state.value).sort()).toEqual([...keyTable.states].sort());
    const steps = (p: (typeof shortest)[number]): number =>
      p.steps.filter(({ event }) => !event.type.startsWith('xstate.')).length;
    expect(Math.max(...shortest.map(steps))).toBe(3);
  });

  it('takes nothing but a certificate of the boot once the set-up is complete', () => {
    for (const state of keyTable.states) {
      if (KEY_WORD[state] < COMPLETE) continue;
      const changes = Object.keys(keyTable.next[state]);
      expect(changes, state).toEqual((KEY_WORD[state] & 2) === 0 ? ['BOOT_X509'] : []);
    }
    const [start] = initialTransition(keyMachine);
    const [closed] = transition(keyMachine, start, { type: 'SETUP_COMPLETE' });
    for (const [type] of KEY_EVENTS) expect(transition(keyMachine, closed, { type })[0].value).toBe('closed');
  });

  it('applies the bits of one write together', () => {
    expect(withKeyBits(0, 7)).toBe(COMPLETE + 3);
    expect(withKeyBits(6, 1)).toBe(COMPLETE + 3);
    expect(withKeyBits(4, 2)).toBe(6);
    expect(withKeyBits(0, COMPLETE + 6)).toBe(COMPLETE + 6);
    expect(withKeyBits(COMPLETE, 2)).toBe(COMPLETE);
  });
});

const NODE = '/sys/kernel/security/integrity/evm/evm';
const LIST = '/sys/kernel/security/integrity/evm/evm_xattrs';

function withKey(length = 32): Machine {
  const m = machine();
  expect(m.sys(1).addKey('user', 'kmk', latin1('k'.repeat(32)), -4).ok).toBe(true);
  const text = latin1(`new default user:kmk ${length} ${'00'.repeat(length)}`);
  expect(m.sys(1).addKey('encrypted', 'evm-key', text, -4).ok).toBe(true);
  return m;
}

/** Root without any capability. */
function weakTask(m: Machine): number {
  const pid = m.spawn({ uid: 0 });
  const task = m.kernel.task(pid);
  if (task !== undefined) m.kernel.patch(task, { cred: { ...task.cred, caps: 0n } });
  return pid;
}

describe('the node evm', () => {
  // Text, errno, what it reads afterwards.
  const ROWS: readonly (readonly [string, string | 0, string])[] = [
    ['1', 0, '1'],
    ['3\n', 0, '3'],
    ['0x2', 0, '2'],
    ['02', 0, '2'],
    ['+2', 0, '2'],
    ['5', 0, '1'],
    ['0x80000002', 0, '2'],
    ['2147483652', 0, '4'],
    ['2\0x', 0, '2'],
    ['0', 'EINVAL', '0'],
    ['8', 'EINVAL', '0'],
    ['0x40000001', 'EINVAL', '0'],
    ['', 'EINVAL', '0'],
    ['2 ', 'EINVAL', '0'],
    ['-1', 'EINVAL', '0'],
    ['08', 'EINVAL', '0'],
    ['0x', 'EINVAL', '0'],
    ['4294967296', 'ERANGE', '0'],
  ];
  it.each(ROWS)('takes %j: %s', (text, errno, after) => {
    const m = withKey();
    expect(write(m.sys(1), NODE, text)).toBe(errno);
    expect(read(m.sys(1), NODE)).toBe(after);
  });

  it('needs the key, in a size that fits, and the capability', () => {
    const bare = machine();
    expect(write(bare.sys(1), NODE, '3')).toBe('ENOENT');
    expect(read(bare.sys(1), NODE)).toBe('0');
    expect(write(withKey(128).sys(1), NODE, '1')).toBe(0);
    expect(write(withKey(129).sys(1), NODE, '1')).toBe('EINVAL');
    const m = withKey();
    const weak = weakTask(m);
    expect(write(m.sys(weak), NODE, '1')).toBe('EPERM');
    expect(write(m.sys(1), NODE, '4')).toBe(0);
    expect(write(m.sys(1), NODE, '1')).toBe(0);
    expect(write(m.sys(1), NODE, '4')).toBe('EPERM');
    expect(write(m.sys(1), NODE, '2')).toBe('EPERM');
  });

  it('pads the key with zeros to 128 bytes', () => {
    const m = withKey();
    write(m.sys(1), NODE, '1');
    expect(m.evm.state.hmacKey).toEqual(new Uint8Array(128));
  });
});

describe('the node evm_xattrs', () => {
  const DEFAULTS = read(machine().sys(1), LIST);

  it('lists the names that count and takes more', () => {
    const m = machine();
    expect(DEFAULTS).toContain('security.ima\nsecurity.capability\n');
    expect(DEFAULTS).not.toContain('security.selinux');
    expect(write(m.sys(1), LIST, 'security.added\n')).toBe(0);
    expect(read(m.sys(1), LIST)).toBe(`${DEFAULTS}security.added\n`);
    expect(write(m.sys(1), LIST, 'security.selinux')).toBe(0);
    expect(read(m.sys(1), LIST)).toBe(`security.selinux\n${DEFAULTS}security.added\n`);
  });

  const ROWS: readonly (readonly [string, string | 0])[] = [
    ['security.ima', 'EEXIST'],
    ['user.x', 'EINVAL'],
    ['', 'EINVAL'],
    [`security.${'x'.repeat(246)}`, 0],
    [`security.${'x'.repeat(247)}`, 'E2BIG'],
  ];
  it.each(ROWS)('takes %s: %s', (name, errno) => {
    expect(write(machine().sys(1), LIST, name)).toBe(errno);
  });

  it('is locked by a dot, with mode 0440', () => {
    const m = machine();
    const weak = weakTask(m);
    expect(write(m.sys(weak), LIST, 'security.added')).toBe('EPERM');
    expect(write(m.sys(1), LIST, '.')).toBe(0);
    const stat = m.sys(1).stat(LIST);
    expect(stat.ok && (stat.value.mode & 0o777).toString(8)).toBe('440');
    expect(write(m.sys(1), LIST, 'security.added')).toBe('EPERM');
    expect(read(m.sys(1), LIST)).toBe(DEFAULTS);
  });
});
