// The nodes below <securityfs>/integrity/ima: the lists in both forms for each bank, two counters and the
// policy. The node of the policy loses its write bit or disappears where the build wants it so.

import { concatAll, latin1, utf8 } from '../base/bytes.ts';
import { ok, type Result } from '../base/errno.ts';
import { toArray } from '../base/list.ts';
import { enabled } from '../base/profile.ts';
import type { PseudoNode, VfsApi } from '../vfs/api.ts';
import { O_ACCMODE, O_RDONLY } from '../vfs/constants.ts';
import type { FileId } from '../vfs/types.ts';
import type { ImaCursor } from './cursor.ts';
import { openPolicy, readPolicyText, releasePolicy, writePolicy } from './policy-load.ts';
import { asciiEntry, binaryEntry } from './template-show.ts';
import type { TemplateEntry } from './types.ts';

/** A node to be made when IMA is up: a file with a pseudo key, or a symbolic link. */
export interface SecurityfsNode {
  readonly name: string;
  readonly mode: number;
  readonly key?: string;
  readonly symlink?: string;
}

const LIST_MODE = 0o440;

/**
 * Nodes in the order in which they are made, in `integrity/ima`; `<securityfs>/ima` is a link to that
 * directory.
 * @kernel security/integrity/ima/ima_fs.c ima_fs_init()
 */
export function imaSecurityfs(ima: ImaCursor): readonly SecurityfsNode[] {
  if (!ima.state.initialized) return [];
  const nodes: SecurityfsNode[] = [];
  const shown = shownSlots(ima);
  for (const { suffix } of shown) {
    for (const form of ['ascii', 'binary']) {
      const name = `${form}_runtime_measurements_${suffix}`;
      nodes.push({ name, mode: LIST_MODE, key: `ima/${name}` });
    }
  }
  for (const form of ['binary', 'ascii']) {
    const name = `${form}_runtime_measurements`;
    nodes.push({ name, mode: 0o777, symlink: `${name}_sha1` });
  }
  const policyMode = enabled(ima.env.profile, 'CONFIG_IMA_READ_POLICY') ? 0o600 : 0o200;
  nodes.push({ name: 'runtime_measurements_count', mode: LIST_MODE, key: 'ima/runtime_measurements_count' });
  nodes.push({ name: 'violations', mode: LIST_MODE, key: 'ima/violations' });
  nodes.push({ name: 'policy', mode: policyMode, key: 'ima/policy' });
  return nodes;
}

/** Slots that have lists: the banks, and sha1 where no bank has it. The slot of ima_hash alone has none. */
function shownSlots(ima: ImaCursor): readonly { readonly suffix: string; readonly slot: number }[] {
  const { slots, sha1Idx } = ima.state;
  const out: { suffix: string; slot: number }[] = [];
  for (const [slot, s] of slots.entries())
    if (s.bank !== null || slot === sha1Idx) out.push({ suffix: s.suffix, slot });
  return out;
}

/** Lines and records of entries, which never change. */
const shownEntries = new WeakMap<TemplateEntry, Map<string, Uint8Array>>();

function shownEntry(entry: TemplateEntry, slot: number, form: string): Uint8Array {
  let forms = shownEntries.get(entry);
  if (forms === undefined) {
    forms = new Map();
    shownEntries.set(entry, forms);
  }
  const key = `${form}${slot}`;
  let bytes = forms.get(key);
  if (bytes === undefined) {
    bytes = form === 'ascii' ? latin1(asciiEntry(entry, slot)) : binaryEntry(entry, slot);
    forms.set(key, bytes);
  }
  return bytes;
}

/** A whole list of one slot. */
export function measurementList(ima: ImaCursor, slot: number, form: 'ascii' | 'binary'): Uint8Array {
  return concatAll(toArray(ima.state.list).map((entry) => shownEntry(entry, slot, form)));
}

function listNode(ima: ImaCursor, name: string): PseudoNode {
  const [form, suffix] = name.split('_runtime_measurements_') as ['ascii' | 'binary', string];
  return {
    read: (): Result<Uint8Array> => {
      const slot = shownSlots(ima).find((s) => s.suffix === suffix)?.slot;
      return ok(slot === undefined ? new Uint8Array(0) : measurementList(ima, slot, form));
    },
  };
}

function policyNode(ima: ImaCursor): PseudoNode {
  const { vfs } = ima.env;
  return {
    open: (task, _file, flags) => openPolicy(ima, task, flags),
    read: () => ok(readPolicyText(ima)),
    // The handler leaves the offset alone: every write(2) of an opened node arrives at the same place.
    keepsOffset: true,
    write: (task, _file, data, offset) => writePolicy(ima, task, data, offset),
    release: (task, file) => {
      if ((vfs.file(file).flags & O_ACCMODE) === O_RDONLY) return;
      const fate = releasePolicy(ima, task);
      if (fate === 'removed') removeNode(vfs, file);
      else if (fate === 'loses_write_bit') dropWriteBit(vfs, file);
    },
  };
}

/** @kernel security/inode.c securityfs_remove() */
function removeNode(vfs: VfsApi, file: FileId): void {
  const dentry = vfs.dentry(vfs.file(file).path.dentry);
  const parent = vfs.inodeOf({ mount: vfs.file(file).path.mount, dentry: dentry.parent });
  const { state } = vfs;
  vfs.state = {
    ...state,
    dentries: state.dentries.set(dentry.id, { ...dentry, hashed: false }),
    inodes: state.inodes.set(parent.key, {
      ...parent,
      children: parent.children === null ? null : parent.children.delete(dentry.name),
    }),
  };
}

function dropWriteBit(vfs: VfsApi, file: FileId): void {
  const inode = vfs.inode(vfs.file(file).inode);
  const { state } = vfs;
  vfs.state = { ...state, inodes: state.inodes.set(inode.key, { ...inode, mode: inode.mode & ~0o200 }) };
}

/** Behaviour of the nodes, by pseudo key. */
export function imaPseudo(ima: ImaCursor): Map<string, PseudoNode> {
  const nodes = new Map<string, PseudoNode>();
  for (const node of imaSecurityfs(ima)) {
    if (node.key === undefined) continue;
    if (node.name.includes('_runtime_measurements_')) nodes.set(node.key, listNode(ima, node.name));
  }
  const number = (value: () => number): PseudoNode => ({ read: () => ok(utf8(`${value()}\n`)) });
  nodes.set(
    'ima/runtime_measurements_count',
    number(() => ima.state.list.length),
  );
  nodes.set(
    'ima/violations',
    number(() => ima.state.violations),
  );
  nodes.set('ima/policy', policyNode(ima));
  return nodes;
}
