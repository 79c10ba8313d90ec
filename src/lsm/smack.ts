// Smack as far as the integrity rooms meet it: labels of files and tasks, the access rules, transmuting
// directories, the labels of new files, subj= in audit records and the labels of IMA's obj_user= and
// subj_user= conditions. Left out: checks on links, renames, signals, sockets and mounts, SMACK64EXEC and
// SMACK64MMAP, mount options, per-task rules.

import { fromLatin1, latin1, utf8 } from '../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import { type Audit, untrusted } from '../integrity/audit.ts';
import type { PseudoNode, VfsApi } from '../vfs/api.ts';
import {
  CAP_MAC_ADMIN,
  CAP_MAC_OVERRIDE,
  MAY_APPEND,
  MAY_EXEC,
  MAY_READ,
  MAY_WRITE,
  S_IFDIR,
  S_IFMT,
  S_IFSOCK,
} from '../vfs/constants.ts';
import type { Cred, FileId, Inode, InodeKey, PathRef, VfsTask, Xattr } from '../vfs/types.ts';
import type { LsmModule } from './stack.ts';

export const SMACK_FLOOR = '_';
const STAR = '*';
const HAT = '^';
const WEB = '@';
const LONG_LABEL = 256;
const PAGE = 4096;
const MAY_TRANSMUTE = 0x1000;
const MAY_LOCK = 0x2000;
const AUDIT_AVC = 1400;

const XATTR_SMACK = 'security.SMACK64';
const XATTR_EXEC = 'security.SMACK64EXEC';
const XATTR_MMAP = 'security.SMACK64MMAP';
const XATTR_TRANSMUTE = 'security.SMACK64TRANSMUTE';
/** Names that need CAP_MAC_ADMIN; all but the last hold a label. */
const OWN: readonly string[] = [
  XATTR_SMACK,
  XATTR_EXEC,
  XATTR_MMAP,
  'security.SMACK64IPIN',
  'security.SMACK64IPOUT',
  XATTR_TRANSMUTE,
];

const LETTERS: Readonly<Record<string, number>> = {
  r: MAY_READ,
  w: MAY_WRITE,
  x: MAY_EXEC,
  a: MAY_APPEND,
  t: MAY_TRANSMUTE,
  l: MAY_LOCK,
};

export interface SmackRule {
  readonly subject: string;
  readonly object: string;
  readonly access: number;
}

export interface SmackState {
  readonly active: boolean;
  /** In the order in which the pairs were first named. */
  readonly rules: readonly SmackRule[];
}

export interface SmackEnv {
  readonly vfs: VfsApi;
  readonly audit: Audit;
  /** Gives a task another label. */
  setLabel(pid: number, label: string): void;
}

export function newSmack(): SmackState {
  return { active: false, rules: [] };
}

/**
 * The label at the start of a text; null when there is none.
 * @kernel security/smack/smack_access.c smk_parse_label_len()
 */
export function parseLabel(text: string): string | null {
  const label = /^[^\0- "'/\\\u007f-\uffff]*/.exec(text.slice(0, LONG_LABEL))?.[0] ?? '';
  return text.startsWith('-') || label.length === 0 || label.length >= LONG_LABEL ? null : label;
}

/** @kernel security/smack/smackfs.c smk_perm_from_str() */
function accessOf(text: string): number {
  let access = 0;
  for (const c of text.toLowerCase()) {
    if (c !== '-' && c !== 'b' && LETTERS[c] === undefined) break;
    access |= LETTERS[c] ?? 0;
  }
  return access;
}

/** @kernel security/smack/smack_access.c smack_str_from_perm() */
function lettersOf(access: number): string {
  const letters = Object.entries(LETTERS)
    .filter(([, bit]) => (access & bit) !== 0)
    .map(([c]) => c);
  return letters.join('');
}

const capable = (cred: Cred, capability: number): boolean =>
  cred.userNs === 0 && (cred.caps & (1n << BigInt(capability))) !== 0n;

const taskLabel = (task: VfsTask): string => task.cred.label ?? SMACK_FLOOR;

export class Smack {
  state: SmackState;
  readonly env: SmackEnv;

  constructor(state: SmackState, env: SmackEnv) {
    this.state = state;
    this.env = env;
  }

  /** Label that audit records show for a task; null while Smack is not active. */
  subject(task: VfsTask): string | null {
    return this.state.active ? taskLabel(task) : null;
  }

  /**
   * Label of an inode: its xattr, else the default of its file system.
   * @kernel security/smack/smack_lsm.c smack_d_instantiate()
   */
  labelOf(key: InodeKey): string {
    const value = this.env.vfs.rawGetxattr(key, XATTR_SMACK);
    const label = value === undefined ? null : parseLabel(fromLatin1(value));
    if (label !== null) return label;
    const sb = this.env.vfs.superblock(this.env.vfs.inode(key).sb);
    const isRoot = this.env.vfs.dentry(sb.root).inode === key;
    return sb.type === 'tmpfs' && !isRoot ? STAR : SMACK_FLOOR;
  }

  #ruleOf(subject: string, object: string): number | undefined {
    return this.state.rules.find((r) => r.subject === subject && r.object === object)?.access;
  }

  /** @kernel security/smack/smack_access.c smk_access() */
  #allowed(subject: string, object: string, request: number): boolean {
    if (subject === STAR) return false;
    if (object === WEB || subject === WEB || object === STAR || subject === object) return true;
    const reading = (request & ~(MAY_READ | MAY_EXEC | MAY_LOCK)) === 0;
    if (reading && (object === SMACK_FLOOR || subject === HAT)) return true;
    const may = this.#ruleOf(subject, object) ?? 0;
    const lock = (may & MAY_WRITE) !== 0 ? MAY_LOCK : 0;
    return may !== 0 && (request & ~(may | lock)) === 0;
  }

  /**
   * May the task do this with the inode? A refusal is written to the audit log.
   * @kernel security/smack/smack_access.c smk_curacc(), smack_log()
   */
  #check(task: VfsTask, key: InodeKey, request: number, fn: string, what: string): Err {
    const [subject, object] = [taskLabel(task), this.labelOf(key)];
    if (this.#allowed(subject, object, request) || capable(task.cred, CAP_MAC_OVERRIDE)) return 0;
    const inode = this.env.vfs.inode(key);
    const body =
      `lsm=SMACK fn=${fn} action=denied subject=${untrusted(subject)} object=${untrusted(object)}` +
      ` requested=${lettersOf(request)} pid=${task.pid} comm=${untrusted(task.comm)} ${what}` +
      ` dev=${untrusted(this.env.vfs.superblock(inode.sb).sid)} ino=${inode.ino}`;
    this.env.audit.log(AUDIT_AVC, body);
    return 'EACCES';
  }

  #name(path: PathRef): string {
    return `name=${untrusted(fromLatin1(utf8(this.env.vfs.dentry(path.dentry).name)))}`;
  }

  #path(path: PathRef): string {
    return `path=${untrusted(fromLatin1(utf8(this.env.vfs.dPath(path, { deleted: true }))))}`;
  }

  /** Some name of an inode, as d_find_alias() gives one. */
  #alias(key: InodeKey): string {
    const found = [...this.env.vfs.state.dentries.values()].find((d) => d.inode === key);
    return found === undefined ? '' : `name=${untrusted(fromLatin1(utf8(found.name)))}`;
  }

  /** @kernel security/smack/smack_lsm.c smack_inode_setxattr() */
  #setxattr(task: VfsTask, path: PathRef, key: InodeKey, name: string, value: Uint8Array): Err {
    const mode = this.env.vfs.inode(key).mode & S_IFMT;
    if (OWN.includes(name)) {
      if (name === XATTR_SMACK && mode === S_IFSOCK) return 'EINVAL';
      if (!capable(task.cred, CAP_MAC_ADMIN)) return 'EPERM';
      const text = fromLatin1(value);
      if (name === XATTR_TRANSMUTE) {
        if (mode !== S_IFDIR || text !== 'TRUE') return 'EINVAL';
      } else {
        const label = parseLabel(text);
        const narrow = name === XATTR_EXEC || name === XATTR_MMAP;
        if (label === null || (narrow && (label === STAR || label === WEB))) return 'EINVAL';
      }
    }
    return this.#check(task, key, MAY_WRITE, 'smack_inode_setxattr', this.#name(path));
  }

  /** @kernel security/smack/smack_lsm.c smack_inode_init_security() */
  #initSecurity(task: VfsTask, inode: Inode, dir: InodeKey): Result<readonly Xattr[]> {
    if ((inode.mode & S_IFMT) === S_IFSOCK) return ok([]);
    const own = taskLabel(task);
    const above = this.labelOf(dir);
    const flagged = this.env.vfs.rawGetxattr(dir, XATTR_TRANSMUTE) !== undefined;
    const transmutes = flagged && ((this.#ruleOf(own, above) ?? 0) & MAY_TRANSMUTE) !== 0;
    const label = { name: XATTR_SMACK, value: latin1(transmutes ? above : own) };
    const first = transmutes && (inode.mode & S_IFMT) === S_IFDIR;
    return ok(first ? [{ name: XATTR_TRANSMUTE, value: latin1('TRUE') }, label] : [label]);
  }

  /** The hooks, for the table of modules. @kernel security/smack/smack_lsm.c smack_hooks */
  module(): LsmModule {
    const { vfs } = this.env;
    const check = this.#check.bind(this);
    return {
      initSecurity: (task, inode, dir) => this.#initSecurity(task, inode, dir),
      inodePermission: (task, key, mask) => {
        const request = mask & (MAY_READ | MAY_WRITE | MAY_EXEC | MAY_APPEND);
        if (request === 0) return 0;
        return check(task, key, request, 'smack_inode_permission', this.#alias(key));
      },
      inodeGetattr: (task, path) =>
        check(task, vfs.inodeOf(path).key, MAY_READ, 'smack_inode_getattr', this.#path(path)),
      inodeSetattr: (task, path, key) => check(task, key, MAY_WRITE, 'smack_inode_setattr', this.#name(path)),
      inodeSetxattr: (task, path, key, name, value) => this.#setxattr(task, path, key, name, value),
      inodeGetxattr: (task, path, key) =>
        check(task, key, MAY_READ, 'smack_inode_getxattr', this.#name(path)),
      inodeRemovexattr: (task, path, key, name) => {
        if (OWN.includes(name) && !capable(task.cred, CAP_MAC_ADMIN)) return 'EPERM';
        return check(task, key, MAY_WRITE, 'smack_inode_removexattr', this.#name(path));
      },
      inodeGetsecurity: (key, name) => (name === XATTR_SMACK ? latin1(this.labelOf(key)) : undefined),
      fileOpen: (task, file) => this.#fileOpen(task, file),
    };
  }

  /** @kernel security/smack/smack_lsm.c smack_file_open() */
  #fileOpen(task: VfsTask, id: FileId): Err {
    const file = this.env.vfs.file(id);
    return this.#check(task, file.inode, MAY_READ, 'smack_file_open', this.#path(file.path));
  }

  /** For IMA's rules: only the user fields are labels here. @kernel smack_lsm.c smack_audit_rule_init() */
  known(field: string, value: string): boolean {
    return this.state.active && /^(obj|subj)_user$/.test(field) && parseLabel(value) !== null;
  }

  /** @kernel security/smack/smack_lsm.c smack_audit_rule_match() */
  match(subject: InodeKey | VfsTask, _field: string, value: string): number {
    const label = typeof subject === 'number' ? this.labelOf(subject) : taskLabel(subject);
    return label === parseLabel(value) ? 1 : 0;
  }

  /** One line of load2: subject, object, access. @kernel security/smack/smackfs.c smk_parse_long_rule() */
  #load(line: string): boolean {
    const [subject, object, access, more] = line.split(/\s+/).filter((w) => w !== '');
    if (subject === undefined || object === undefined || access === undefined) return false;
    const rule = { subject: parseLabel(subject), object: parseLabel(object) };
    if (rule.subject === null || rule.object === null) return false;
    const { subject: s, object: o } = { subject: rule.subject, object: rule.object };
    const given = accessOf(access);
    const old = this.#ruleOf(s, o);
    const next = more === undefined ? given : ((old ?? 0) | given) & ~accessOf(more);
    const rules =
      old === undefined
        ? [...this.state.rules, { subject: s, object: o, access: next }]
        : this.state.rules.map((r) => (r.subject === s && r.object === o ? { ...r, access: next } : r));
    this.state = { ...this.state, rules };
    return true;
  }

  /** @kernel security/smack/smackfs.c smk_write_load2() */
  load2(): PseudoNode {
    return {
      read: () => {
        const lines = this.state.rules.filter((r) => r.access !== 0);
        return ok(utf8(lines.map((r) => `${r.subject} ${r.object} ${lettersOf(r.access)}\n`).join('')));
      },
      write: (task, _file, data, offset) => {
        if (!capable(task.cred, CAP_MAC_ADMIN)) return fail('EPERM');
        if (offset !== 0 || data.length === 0 || data.length > PAGE) return fail('EINVAL');
        const lines = fromLatin1(data).split('\n');
        if (lines[lines.length - 1] === '') lines.pop();
        for (const line of lines) if (!this.#load(line)) return fail('EINVAL');
        return ok(data.length);
      },
    };
  }

  /** /proc/self/attr/current. @kernel security/smack/smack_lsm.c smack_getprocattr(), do_setattr() */
  current(): PseudoNode {
    return {
      read: (task) => ok(utf8(taskLabel(task))),
      write: (task, _file, data) => {
        if (!capable(task.cred, CAP_MAC_ADMIN)) return fail('EPERM');
        if (data.length === 0 || data.length >= LONG_LABEL) return fail('EINVAL');
        const label = parseLabel(fromLatin1(data));
        if (label === null) return fail('EINVAL');
        if (label === STAR || label === WEB) return fail('EINVAL');
        this.env.setLabel(task.pid, label);
        return ok(data.length);
      },
    };
  }
}
