// What of a machine tells two places of the search apart: files with owner, mode, labels and content, the
// caches of IMA and EVM, keys, policies, mounts, what processes hold, registers and modules. Clocks, the
// trace, inode numbers inside the tables and times of files are left out. The key is exact: equal keys mean
// equal values of all these, because each different part gets a number of its own.

import { stateText } from '../base/json.ts';
import type { EvmIint } from '../evm/state.ts';
import { activeRules } from '../ima/policy-match.ts';
import { showPolicy } from '../ima/policy-show.ts';
import type { Iint, ImaRule } from '../ima/types.ts';
import type { MachineState } from '../kernel/rooms.ts';
import type { Inode, InodeKey, VfsState, Xattr } from '../vfs/types.ts';
import { contentName } from './contents.ts';
import type { Moment } from './node.ts';

/** Numbers of texts, in the order in which they were first seen. */
class Numbers {
  readonly #byText = new Map<string, number>();

  of(text: string): number {
    let n = this.#byText.get(text);
    if (n === undefined) {
      n = this.#byText.size;
      this.#byText.set(text, n);
    }
    return n;
  }
}

/** Parts of states, numbered; one for each search. */
export class StateKeys {
  readonly #numbers = new Numbers();
  readonly #objects = new WeakMap<object, number>();

  /** Number of an immutable value, by what `text` says of it; the value itself is looked at once. */
  #number<T extends object>(value: T, text: (value: T) => string): number {
    let n = this.#objects.get(value);
    if (n === undefined) {
      n = this.#numbers.of(text(value));
      this.#objects.set(value, n);
    }
    return n;
  }

  #inode(inode: Inode): number {
    return this.#number(inode, inodeText);
  }

  #iint(iint: Iint): number {
    return this.#number(iint, iintText);
  }

  #evm(iint: EvmIint): number {
    return this.#number(iint, ({ status, flags }) => `e ${status} ${flags}`);
  }

  /** A value whose every member counts. */
  #whole(value: object): number {
    return this.#number(value, (v) => stateText(v as never));
  }

  /** The tree of a file system, as far as names lead. */
  #tree(state: MachineState, key: InodeKey, path: string, out: string[], seen: Map<InodeKey, string>): void {
    const { vfs, ima, evm } = state;
    const inode = vfs.inodes.get(key);
    if (inode === undefined) return;
    const other = seen.get(key);
    if (other !== undefined) {
      out.push(`${path}=${other}`);
      return;
    }
    seen.set(key, path);
    const iint = ima.iint.get(key);
    const evmIint = evm.iints.get(key);
    const blocks = vfs.blocks.files.get(key);
    const mine = [this.#inode(inode)];
    if (iint !== undefined) mine.push(this.#iint(iint), iint.version === inode.iVersion ? 1 : 0);
    if (evmIint !== undefined) mine.push(-1, this.#evm(evmIint));
    if (blocks !== undefined) mine.push(-2, blocks.cached ? 1 : 0, this.#number(blocks.bytes, bytesText));
    out.push(`${path}:${mine.join(',')}`);
    for (const [name, id] of inode.children ?? []) {
      const dentry = vfs.dentries.get(id);
      if (dentry !== undefined) this.#tree(state, dentry.inode, `${path}/${name}`, out, seen);
    }
  }

  #files(state: MachineState, out: string[], seen: Map<InodeKey, string>): void {
    const { vfs } = state;
    for (const sb of vfs.superblocks.values()) {
      if (PSEUDO.has(sb.type)) continue;
      const root = vfs.dentries.get(sb.root);
      if (root !== undefined) this.#tree(state, root.inode, `${sb.type}.${sb.sid}`, out, seen);
    }
  }

  #held({ machine, session }: Moment, out: string[], seen: ReadonlyMap<InodeKey, string>): void {
    const { vfs, kernel, ima } = machine;
    const place = (key: InodeKey): string => seen.get(key) ?? this.#loose(machine, key);
    for (const [key, actor] of session.actors) {
      for (const [slot, fd] of actor.slots) {
        const entry = kernel.tasks.get(actor.pid)?.fds.get(fd);
        const file = entry === undefined ? undefined : vfs.files.get(entry.file);
        if (file !== undefined) out.push(`${key} ${slot}>${place(file.inode)} ${file.fmode} ${file.pos}`);
      }
      for (const [name, { mapping: id }] of actor.maps) {
        const m = vfs.mappings.get(id);
        if (m === undefined) continue;
        const file = m.file === null ? undefined : vfs.files.get(m.file);
        const image = m.image === null ? '' : this.#number(m.image, bytesText);
        out.push(
          `${key} ${name}@${file === undefined ? '' : place(file.inode)} ${m.prot} ${m.shared} ${image}`,
        );
      }
      const persona = kernel.tasks.get(actor.pid)?.personality ?? 0;
      if (persona !== 0) out.push(`${key} p${persona}`);
    }
    out.push(`v${ima.violations > 0 ? 1 : 0}`);
  }

  /** A file that no name leads to: deleted, or memory. */
  #loose({ vfs, ima }: MachineState, key: InodeKey): string {
    const inode = vfs.inodes.get(key);
    const iint = ima.iint.get(key);
    return inode === undefined ? '?' : `~${this.#inode(inode)}.${iint === undefined ? '' : this.#iint(iint)}`;
  }

  #subsystems({ ima, evm, ipe, keys, kernel, vfs, tpm }: MachineState, out: string[]): void {
    const rules = activeRules(ima.policy);
    out.push(
      `i${this.#number(rules, rulesText)} ${ima.policy.load} ${ima.appraise} ${ima.list.length === 0 ? 0 : 1}`,
    );
    out.push(`e${evm.initialized} ${evm.hmacKey === null ? 0 : 1} ${evm.fixMode}`);
    out.push(
      `p${ipe.enforce} ${this.#whole(ipe.directories)} ${ipe.active ?? '-'} ${ipe.fsVeritySigned.size}`,
    );
    out.push(`k${this.#whole(keys)}`);
    out.push(
      `m${kernel.modules.map((m) => m.name).join('.')} ${kernel.kexec === null ? 0 : 1} ${kernel.panic ?? ''}`,
    );
    out.push(`c${kernel.cmdline} ${this.#whole(kernel.sysctl)} ${this.#whole(kernel.dm)}`);
    for (const m of vfs.mounts.values()) out.push(`${m.mountpoint ?? 0}.${m.sb}.${m.readonly}${m.noexec}`);
    if (vfs.blocks.pending.size > 0) out.push(`w${this.#whole(vfs.blocks.pending)}`);
    if (tpm !== null) out.push(`t${this.#number(tpm.pcr, (pcrs) => otherRegisters(pcrs))}`);
  }

  /** The key of a moment; `memories` are words of what properties remember. */
  of(moment: Moment, memories: readonly string[]): string {
    const out: string[] = [];
    const seen = new Map<InodeKey, string>();
    this.#files(moment.machine, out, seen);
    this.#held(moment, out, seen);
    this.#subsystems(moment.machine, out);
    for (const [name, program] of Object.entries(moment.memory.programs)) {
      const task = moment.machine.kernel.tasks.get(program.pid);
      out.push(`x${name} ${task?.bprm?.phase ?? ''}`);
    }
    const parts = Uint32Array.from(out, (part) => this.#numbers.of(part)).sort();
    return `${parts.join(' ')}|${memories.join('|')}`;
  }
}

const PSEUDO: ReadonlySet<string> = new Set(['proc', 'sysfs', 'securityfs', 'devtmpfs', 'smackfs']);

const xattrText = ({ name, value }: Xattr): string => `${name}=${bytesText(value)}`;
const texts = new WeakMap<Uint8Array, string>();

function bytesText(bytes: Uint8Array): string {
  let text = texts.get(bytes);
  if (text === undefined) {
    text = contentName({ kind: 'bytes', bytes });
    texts.set(bytes, text);
  }
  return text;
}

function inodeText(i: Inode): string {
  const content = i.content === null ? '' : contentName(i.content);
  const flags = `${i.iWritecount}.${i.iReadcount > 0}.${i.mmapWritable}.${i.immutable}.${i.nlink}.${i.seals}`;
  const verity = i.verity === null ? '' : bytesText(i.verity.digest);
  return `${i.mode}.${i.uid}.${i.gid} ${content} ${i.target ?? ''} ${verity} ${flags} ${i.xattrs.map(xattrText).join(' ')}`;
}

function iintText(i: Iint): string {
  const hash = i.hash === null ? '' : bytesText(i.hash.digest);
  const status = [i.fileStatus, i.mmapStatus, i.bprmStatus, i.readStatus, i.credsStatus].join('.');
  return `${i.flags} ${i.atomicFlags} ${i.measuredPcrs} ${status} ${hash}`;
}

const rulesText = (rules: readonly ImaRule[]): string => showPolicy(rules);

/** Registers but 10: what stands there follows from the list, whose order does not matter here. */
function otherRegisters(banks: readonly { readonly pcrs: readonly (Uint8Array | null)[] }[]): string {
  return banks
    .map(({ pcrs }) => pcrs.map((v, i) => (v === null || i === 10 ? '' : bytesText(v))).join('.'))
    .join(' ');
}

export type { VfsState };
