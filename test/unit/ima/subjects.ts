// Accesses to hold rules against: a rule from its text, and a file with the task, hook and mask that look at it.

import { type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import * as C from '../../../src/ima/constants.ts';
import type { MatchSubject } from '../../../src/ima/policy-match.ts';
import { ruleOf } from '../../../src/ima/policy-parse.ts';
import { BUILTIN_TEMPLATES } from '../../../src/ima/template.ts';
import type { ImaRule } from '../../../src/ima/types.ts';
import { MAY_READ } from '../../../src/vfs/constants.ts';
import type { Cred } from '../../../src/vfs/types.ts';
import { World, type WorldOptions } from './world.ts';

const CTX = {
  profile: PROFILES['linux-6.12.107'] as KernelProfile,
  templates: BUILTIN_TEMPLATES,
  defaultRulesActive: false,
  mapId: (_: string, id: number) => id,
  lsmKnows: () => false,
};

/** A rule of a text that must be good. */
export function rule(text: string): ImaRule {
  const r = ruleOf(text, CTX);
  if (!r.ok) throw new Error(`${text}: ${r.errno}`);
  return r.value;
}

export interface Setting {
  readonly path?: string;
  readonly func?: number;
  readonly mask?: number;
  readonly cred?: Partial<Cred>;
  readonly data?: string;
}

/** A world with the rules in force, and a subject on one of its files. */
export function setting(
  rules: readonly string[],
  s: Setting = {},
  options: WorldOptions = {},
): { w: World; subject: MatchSubject } {
  const w = new World(options);
  w.write('/mnt/f', 'x');
  w.write('/tmp/f', 'x');
  if (rules.length > 0) w.policy(...rules);
  const at = w.vfs.lookup(w.task(), s.path ?? '/mnt/f');
  if (!at.ok) throw new Error('no file');
  const inode = w.vfs.inodeOf(at.value);
  const task = w.task({ cred: { ...w.task().cred, ...s.cred } });
  const subject: MatchSubject = {
    task,
    cred: task.cred,
    inode,
    sb: w.vfs.superblock(inode.sb),
    func: s.func ?? C.FILE_CHECK,
    mask: s.mask ?? MAY_READ,
    funcData: s.data ?? null,
  };
  return { w, subject };
}
