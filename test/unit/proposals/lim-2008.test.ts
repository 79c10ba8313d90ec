// The provider of 2008: rules and their parser, detectors, and that list and register agree.

import { describe, expect, it } from 'vitest';
import { concat, toHex } from '../../../src/base/bytes.ts';
import { Clock, timespec } from '../../../src/base/clock.ts';
import { PROFILES } from '../../../src/base/profile.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { program } from '../../../src/kernel/images.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import { changed, recent } from '../../../src/proposals/lim-2008/change.ts';
import { defaultRules, matchPolicy, parseRule, ruleText } from '../../../src/proposals/lim-2008/policy.ts';
import '../../../src/proposals/registry.ts';
import { disk, errnoOf, file, machine, read, value, write } from '../kernel/machines.ts';

const base = PROFILES['linux-6.12.107'];
if (base === undefined) throw new Error('no profile');
const profile = { ...base, config: { ...base.config, CONFIG_IMA: 'n' } };
const IMA = '/sys/kernel/security/ima';

const boot = (cmdline = '', merged = false): Machine =>
  machine({
    proposals: ['lim_2008'],
    cmdline,
    ...(merged ? {} : { profile }),
    disks: [disk({ '/f': file('one'), '/p': file(program(), 0o755) })],
  });

describe('rules', () => {
  it.each([
    'measure',
    'measure func=BPRM_CHECK',
    'dont_measure fsmagic=0x9fa0',
    'measure func=FILE_MMAP mask=MAY_EXEC uid=1000',
  ])('%s is read and written alike', (text) => {
    const rule = parseRule(text);
    expect(typeof rule).toBe('object');
    if (typeof rule === 'object') expect(ruleText(rule)).toBe(text);
  });

  it.each([
    '',
    '# comment',
    'appraise',
    'measure func=X',
    'measure mask=MAY_APPEND',
    'measure fsmagic=xyz',
    'measure uid=root',
    'measure 1',
  ])('"%s" is refused', (text) => {
    expect(parseRule(text)).toBe('EINVAL');
  });

  it('are asked in order, and nothing matches nothing', () => {
    const subject = { func: 'BPRM_CHECK', mask: 1, magic: 0x9fa0, uid: 0 } as const;
    expect(matchPolicy(defaultRules(false), subject)).toBe(true);
    expect(matchPolicy(defaultRules(true), subject)).toBe(false);
    expect(matchPolicy([], subject)).toBe(false);
  });
});

describe('detectors', () => {
  const before = { mtime: timespec(1), ctime: timespec(1), version: 1 };

  it('look at their own member only', () => {
    expect(changed('mtime', before, { ...before, ctime: timespec(2), version: 2 })).toBe(false);
    expect(changed('mtime', before, { ...before, mtime: timespec(1, 1) })).toBe(true);
    expect(changed('ctime', before, { ...before, ctime: timespec(2) })).toBe(true);
    expect(changed('i_version', before, { ...before, version: 2 })).toBe(true);
  });

  it('take the stamp of the running tick for recent, and no other', () => {
    const clock = new Clock({ uptimeUs: 9000, bootSec: 1 });
    const at = (us: number) => ({ ...before, mtime: timespec(1, us * 1000) });
    expect(recent('mtime', at(8000), clock)).toBe(true);
    expect(recent('mtime', at(4000), clock)).toBe(false);
    expect(recent('i_version', at(8000), clock)).toBe(false);
  });
});

/** Digests of the binary list of 2008, with their kinds. */
function replay(m: Machine): Uint8Array {
  let folded: Uint8Array = new Uint8Array(20);
  const lines = String(read(m.sys(1), `${IMA}/ascii_runtime_measurements`))
    .trimEnd()
    .split('\n');
  for (const line of lines) {
    const digest = Uint8Array.from(Buffer.from(line.trim().split(' ')[1] ?? '', 'hex'));
    const zero = digest.every((b) => b === 0);
    folded = crypto().hash('sha1', concat(folded, zero ? new Uint8Array(20).fill(0xff) : digest));
  }
  return folded;
}

describe('the list', () => {
  it('replays to the register, with files, other kinds and a violation', () => {
    const m = boot();
    read(m.sys(1), '/mnt/f');
    m.sys(1).exec('/mnt/p', ['p']);
    m.sys(1).call('integrity_store_measurement', { kind: 'x', data: 'y' });
    const writer = value(m.sys(m.spawn({})).open('/mnt/f', 1));
    expect(writer).toBeGreaterThan(0);
    read(m.sys(1), '/mnt/f');
    expect(read(m.sys(1), `${IMA}/violations`)).toBe('1\n');
    expect(toHex(replay(m))).toBe(toHex(m.pcr('sha1', 10) ?? new Uint8Array(0)));
  });

  it('has a binary form with the same number of records', () => {
    const m = boot();
    m.sys(1).call('integrity_store_measurement', { kind: 'kind', data: 'data' });
    const count = Number(read(m.sys(1), `${IMA}/runtime_measurements_count`));
    expect(String(read(m.sys(1), `${IMA}/ascii_runtime_measurements`)).split('\n').length - 1).toBe(count);
    expect(String(read(m.sys(1), `${IMA}/binary_runtime_measurements`))).toContain('kind');
  });

  it('stands beside the merged IMA under a name of its own, and is off with ima=0', () => {
    expect(errnoOf(boot('', true).sys(1).stat('/sys/kernel/security/lim/policy'))).toBe(0);
    const off = boot('ima=0');
    read(off.sys(1), '/mnt/f');
    expect(read(off.sys(1), `${IMA}/runtime_measurements_count`)).toBe('0\n');
  });

  it('lives in JSON', () => {
    const m = boot();
    read(m.sys(1), '/mnt/f');
    const back = Machine.fromJSON(m.toJSON());
    expect(toHex(replay(back))).toBe(toHex(replay(m)));
  });
});

describe('the policy node', () => {
  it('takes one writer at a time and keeps the old rules when one is wrong', () => {
    const m = boot();
    const before = read(m.sys(1), `${IMA}/policy`);
    expect(write(m.sys(1), `${IMA}/policy`, 'nonsense')).toBe('EINVAL');
    expect(read(m.sys(1), `${IMA}/policy`)).toBe(before);
    const fd = value(m.sys(1).open(`${IMA}/policy`, 1));
    expect(errnoOf(m.sys(1).open(`${IMA}/policy`, 1))).toBe('EBUSY');
    m.sys(1).close(fd);
  });
});

describe('calls', () => {
  it('say what is missing', () => {
    const { sys } = { sys: boot().sys(1) };
    expect(errnoOf(sys.call('integrity_collect_measurement', { path: '/nowhere' }))).toBe('ENOENT');
    expect(errnoOf(sys.call('integrity_must_measure', { path: '/mnt' }))).toBe('EPERM');
    expect(errnoOf(sys.call('integrity_detectors', { path: '/mnt/f' }))).toBe('ENODATA');
    expect(errnoOf(sys.call('integrity_register_template', { kind: 'a b' }))).toBe('EINVAL');
    expect(errnoOf(sys.call('integrity_load', { policy: '/nowhere' }))).toBe('ENOENT');
    expect(errnoOf(sys.call('integrity_store_measurement', { path: '/nowhere' }))).toBe(0);
  });
});
