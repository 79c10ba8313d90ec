// IMA as it was posted in May 2008: one provider behind an integrity API with must_measure(),
// collect_measurement(), store_measurement() and template_display(), for files and generic template data.
// What the message does not show follows the later revision of the series. It stands beside the merged IMA
// or, with CONFIG_IMA=n, in its place, and measures only. Conditions of LSMs and ima_mode= are left out.

import { Map as ImmutableMap } from 'immutable';
import { concat, fromLatin1, utf8 } from '../../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../../base/errno.ts';
import { enabled } from '../../base/profile.ts';
import { AUDIT_INTEGRITY_STATUS } from '../../integrity/audit.ts';
import { kernelHash } from '../../integrity/hash-info.ts';
import { defineExtension, type ExtensionNode } from '../../kernel/extension.ts';
import type { Rooms } from '../../kernel/rooms.ts';
import { MAY_EXEC, O_ACCMODE, O_RDONLY, PROT_EXEC } from '../../vfs/constants.ts';
import type { VfsTask } from '../../vfs/types.ts';
import { LIM_CALLS } from './calls.ts';
import { DETECTORS, type Detector } from './change.ts';
import { defaultRules, parseRule, ruleText } from './policy.ts';
import { access, type LimCursor } from './provider.ts';
import { LIM_REASON as REASON } from './reasons.ts';
import { asciiList, binaryList, bootAggregate, imaData, type LimState, type Store } from './store.ts';

const REGISTERS = [0, 1, 2, 3, 4, 5, 6, 7];

/** The first entry: sha1 over the registers that the firmware extended; zeros without a TPM. */
function addBootAggregate(state: LimState, rooms: Rooms): LimState {
  const values = REGISTERS.map((i) => rooms.chip?.pcrRead(i, 'sha1'));
  const known = values.filter((v) => v instanceof Uint8Array);
  const digest = known.length === values.length ? kernelHash('sha1', concat(...known)) : new Uint8Array(20);
  const x: Store = { state, rooms };
  bootAggregate(x, imaData(digest, 'boot_aggregate'));
  return x.state;
}

function start(parameters: ReadonlyMap<string, string>, rooms: Rooms): LimState {
  const skipInPolicy = parameters.get('lim_skip=') === 'policy';
  const [from = '', type] = (parameters.get('lim_violations=') ?? '').split(',');
  const asked = parameters.get('lim_detect=') as Detector | undefined;
  const state: LimState = {
    enabled: !/^(0|off)$/.test(parameters.get('ima=') ?? ''),
    detector: asked !== undefined && DETECTORS.includes(asked) ? asked : 'mtime',
    askRecent: parameters.get('lim_recent=') !== 'off',
    skipInPolicy,
    longCounter: type === 'long',
    rules: defaultRules(skipInPolicy),
    upload: null,
    measured: ImmutableMap(),
    list: [],
    violations: /^\d{1,15}$/.test(from) ? Number(from) : 0,
    kinds: ImmutableMap(),
  };
  return state.enabled ? addBootAggregate(state, rooms) : state;
}

function openPolicy(x: LimCursor, flags: number): Err {
  if ((flags & O_ACCMODE) === O_RDONLY) return 0;
  if (x.state.upload !== null) return 'EBUSY';
  x.state = { ...x.state, upload: { rules: [], bad: false } };
  return 0;
}

/** One write(2) is one rule. */
function writePolicy(x: LimCursor, data: Uint8Array): Result<number> {
  const { upload } = x.state;
  const line = fromLatin1(data);
  if (upload === null) return fail('EINVAL');
  if (line.trim() === '') return ok(data.length);
  const rule = parseRule(line);
  const good = typeof rule === 'object';
  x.state = {
    ...x.state,
    upload: good ? { ...upload, rules: [...upload.rules, rule] } : { ...upload, bad: true },
  };
  return good ? ok(data.length) : fail('EINVAL');
}

/** The writer closes the node: all rules come into force, or none. */
function releasePolicy(x: LimCursor, task: VfsTask): void {
  const { upload } = x.state;
  if (upload === null) return;
  const good = !upload.bad && upload.rules.length > 0;
  const cause = good ? 'completed' : 'failed';
  x.rooms.audit.message(task, { type: AUDIT_INTEGRITY_STATUS, op: 'policy_update', cause, failed: !good });
  const code = good ? 'lim.policy_replaced' : 'lim.policy_kept';
  x.rooms.trace.emit('lim.policy', { rules: upload.rules.length }, REASON[code]);
  x.state = { ...x.state, upload: null, rules: good ? upload.rules : x.state.rules };
}

function nodes(x: LimCursor): readonly ExtensionNode[] {
  // The directory of 2008, unless the merged IMA has it.
  const folder = enabled(x.rooms.profile, 'CONFIG_IMA') ? 'lim' : 'ima';
  const shown = (name: string, read: () => Uint8Array): ExtensionNode => ({
    path: `${folder}/${name}`,
    mode: 0o440,
    node: { read: () => ok(read()) },
  });
  const rules = (): Uint8Array => utf8(x.state.rules.map((r) => `${ruleText(r)}\n`).join(''));
  return [
    { path: folder, mode: 0o755 },
    shown('ascii_runtime_measurements', () => asciiList(x)),
    shown('binary_runtime_measurements', () => binaryList(x)),
    shown('runtime_measurements_count', () => utf8(`${x.state.list.length}\n`)),
    shown('violations', () => utf8(`${x.state.violations}\n`)),
    {
      path: `${folder}/policy`,
      mode: 0o600,
      node: {
        open: (_task, _file, flags) => openPolicy(x, flags),
        read: () => ok(rules()),
        keepsOffset: true,
        write: (_task, _file, data) => writePolicy(x, data),
        release: (task, file) => {
          if ((x.rooms.vfs.file(file).flags & O_ACCMODE) !== O_RDONLY) releasePolicy(x, task);
        },
      },
    },
  ];
}

export const lim2008 = defineExtension<LimState>({
  name: 'lim_2008',
  about: 'IMA as a provider of an integrity service: file and generic measurements behind one API',
  setup: ['ima=', 'lim_detect=', 'lim_recent=', 'lim_skip=', 'lim_violations='],
  start,
  place: 'last',
  hooks: (x) => ({
    bprmCheck: (task, file) => access(x, task, file, 'BPRM_CHECK', MAY_EXEC),
    mmapFile: (task, file, _reqprot, prot) =>
      file !== null && (prot & PROT_EXEC) !== 0 ? access(x, task, file, 'FILE_MMAP', MAY_EXEC) : 0,
    filePostOpen: (task, file, mask) => access(x, task, file, 'INODE_PERMISSION', mask),
    inodeFree: (inode) => {
      if (x.state.measured.has(inode)) x.state = { ...x.state, measured: x.state.measured.delete(inode) };
    },
  }),
  nodes,
  calls: LIM_CALLS,
});
