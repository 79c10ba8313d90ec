import { describe, expect, it } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import { fail, ok } from '../../../src/base/errno.ts';
import { type LsmModule, LsmStack, orderLsms } from '../../../src/lsm/stack.ts';
import type { Inode, VfsTask } from '../../../src/vfs/types.ts';

const TASK = {} as VfsTask;
const INODE = {} as Inode;

function recorder(
  calls: string[],
  name: string,
  answers: Partial<Record<keyof LsmModule, unknown>> = {},
): LsmModule {
  const module: Record<string, unknown> = {};
  for (const hook of ['filePostOpen', 'fileRelease', 'inodeCopyUpXattr'] as const)
    module[hook] = () => {
      calls.push(`${name}.${hook}`);
      return answers[hook] ?? (hook === 'inodeCopyUpXattr' ? 'copy' : 0);
    };
  return module as LsmModule;
}

describe('order', () => {
  const available = ['evm', 'ima', 'ipe', 'smack'].map((name) => ({ name, module: {} }));
  it.each([
    ['ipe', ['ipe', 'ima', 'evm']],
    ['smack,ipe,smack', ['smack', 'ipe', 'ima', 'evm']],
    ['evm,ima,ipe', ['ipe', 'ima', 'evm']],
    ['', ['ima', 'evm']],
    ['bogus,ipe', ['ipe', 'ima', 'evm']],
  ])('lsm=%s', (list, names) => {
    expect(orderLsms(available, list).map((m) => m.name)).toEqual(names);
  });
});

describe('calls', () => {
  it('end with the first refusal', () => {
    const calls: string[] = [];
    const stack = new LsmStack();
    stack.bind([
      { name: 'a', module: recorder(calls, 'a') },
      { name: 'b', module: recorder(calls, 'b', { filePostOpen: 'EACCES' }) },
      { name: 'c', module: recorder(calls, 'c') },
    ]);
    expect(stack.filePostOpen(TASK, 1, 4)).toBe('EACCES');
    stack.fileRelease(TASK, 1);
    expect(calls).toEqual([
      'a.filePostOpen',
      'b.filePostOpen',
      'a.fileRelease',
      'b.fileRelease',
      'c.fileRelease',
    ]);
    expect(stack.names).toEqual(['a', 'b', 'c']);
  });

  it('without modules allow everything', () => {
    const stack = new LsmStack();
    expect([
      stack.fileOpen(TASK, 1),
      stack.bprmCheck(TASK, 1, TASK.cred),
      stack.kernelLoadData(TASK, 'module', true),
    ]).toEqual([0, 0, 0]);
    expect(stack.inodeCopyUpXattr(TASK, 1, 'user.x')).toBe('copy');
    expect(stack.inodeInitSecurity(TASK, INODE, 1, 'f')).toEqual(ok([]));
  });

  it('of the copy-up hook take the first opinion', () => {
    const calls: string[] = [];
    const stack = new LsmStack();
    stack.bind([
      { name: 'a', module: recorder(calls, 'a', { inodeCopyUpXattr: 'discard' }) },
      { name: 'b', module: recorder(calls, 'b', { inodeCopyUpXattr: 'EPERM' }) },
    ]);
    expect(stack.inodeCopyUpXattr(TASK, 1, 'security.evm')).toBe('discard');
    expect(calls).toEqual(['a.inodeCopyUpXattr']);
  });

  it('keep the module as this', () => {
    class Counting {
      count = 0;
      fileOpen(): 0 {
        this.count++;
        return 0;
      }
    }
    const module = new Counting();
    const stack = new LsmStack();
    stack.bind([{ name: 'counting', module }]);
    stack.fileOpen(TASK, 1);
    expect(module.count).toBe(1);
  });
});

describe('initial xattrs', () => {
  const label = { name: 'security.SMACK64', value: utf8('_') };
  const evm: LsmModule = {
    initSecurity: (_t, _i, _d, _n, soFar) =>
      ok(soFar.length === 0 ? [] : [{ name: 'security.evm', value: utf8('h') }]),
  };

  it('are shown to the modules that follow', () => {
    const stack = new LsmStack();
    stack.bind([
      { name: 'none', module: { initSecurity: () => fail('EOPNOTSUPP') } },
      { name: 'smack', module: { initSecurity: () => ok([label]) } },
      { name: 'evm', module: evm },
    ]);
    const given = stack.inodeInitSecurity(TASK, INODE, 1, 'f');
    expect(given.ok && given.value.map((x) => x.name)).toEqual(['security.SMACK64', 'security.evm']);
  });

  it('of a failing module fail the creation', () => {
    const stack = new LsmStack();
    stack.bind([
      { name: 'bad', module: { initSecurity: () => fail('ENOMEM') } },
      { name: 'evm', module: evm },
    ]);
    expect(stack.inodeInitSecurity(TASK, INODE, 1, 'f')).toEqual({ ok: false, errno: 'ENOMEM' });
  });
});
