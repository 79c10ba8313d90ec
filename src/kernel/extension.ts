// What a design that was never merged brings along: LSM hooks, securityfs nodes, words of the two policy
// languages, system calls, boot parameters. Each is a declaration over the same tables that the merged
// rooms use; its state is one plain value in the machine's state. Leaves out nothing of a machine: whoever
// is registered sees all rooms.

import { Map as ImmutableMap } from 'immutable';
import { assert } from '../base/assert.ts';
import type { Err, Result } from '../base/errno.ts';
import type { DefaultRules } from '../ima/cursor.ts';
import type { ConditionSubject, ConditionSyntax, ImaCondition, LabelType } from '../ima/types.ts';
import type { IpeEvalContext, IpeProperty, IpePropertySyntax } from '../ipe/properties.ts';
import type { IpePropertyValue } from '../ipe/types.ts';
import type { LsmModule } from '../lsm/stack.ts';
import type { PseudoNode } from '../vfs/api.ts';
import type { InodeKey } from '../vfs/types.ts';
import type { ArchiveForm } from './cpio.ts';
import type { KernelListeners } from './kernel.ts';
import type { Rooms } from './rooms.ts';
import type { Task } from './state.ts';

/** Plain data, as arguments and results of a call are. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [name: string]: Plain };
export type PlainRecord = { readonly [name: string]: Plain };

/** A design's own cursor: its state, and the rooms of the machine. */
export interface ExtensionCursor<S> {
  state: S;
  readonly rooms: Rooms;
}

/** A node below /sys/kernel/security; a directory when it has no behaviour. */
export interface ExtensionNode {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly node?: PseudoNode;
}

/** A system call of the design: plain arguments in, errno or plain results out. */
export type ExtensionCall<S> = (x: ExtensionCursor<S>, task: Task, args: PlainRecord) => Result<PlainRecord>;

/** A condition of IMA rules, as ImaCondition, that also sees the design's state. */
export interface ExtensionCondition<S> extends ConditionSyntax {
  matches(x: ExtensionCursor<S>, subject: ConditionSubject, op: string, value: string): boolean;
}

/** A type of security.ima, as LabelType, that also sees the design's state. */
export interface ExtensionLabelType<S> {
  readonly type: number;
  verify(x: ExtensionCursor<S>, inode: InodeKey, value: Uint8Array, digest: Uint8Array): Err;
}

/** A property of IPE rules, as IpeProperty, that also sees the design's state. */
export interface ExtensionProperty<S> extends IpePropertySyntax {
  evaluate(x: ExtensionCursor<S>, context: IpeEvalContext, value: IpePropertyValue): boolean;
}

/** A design as a table of what it plugs into; every member but the first three may be left out. */
export interface ExtensionDeclaration<S> {
  /** Named by `proposals:` of a machine, and by the securityfs keys of its nodes. */
  readonly name: string;
  /** One sentence: what it changes. */
  readonly about: string;
  /** State when the kernel starts; boot parameters by their key, with what follows it. */
  start(parameters: ReadonlyMap<string, string>, rooms: Rooms): S;
  /** Keys of __setup(): `name` alone or `name=`. */
  readonly setup?: readonly string[];
  /** Where its hooks stand: behind the modules of lsm= and before IMA, or last of all. */
  readonly place?: 'before-ima' | 'last';
  hooks?(x: ExtensionCursor<S>): LsmModule;
  /** What the kernel asks besides the hooks; those of a design go before the machine's own. */
  listeners?(x: ExtensionCursor<S>): KernelListeners;
  nodes?(x: ExtensionCursor<S>): readonly ExtensionNode[];
  readonly imaConditions?: readonly ExtensionCondition<S>[];
  /** Types of security.ima besides those of the kernel. */
  readonly imaLabelTypes?: readonly ExtensionLabelType<S>[];
  /** Rules that IMA starts with; null: those of the command line alone. Asked once, when IMA comes up. */
  imaDefaultRules?(x: ExtensionCursor<S>): DefaultRules | null;
  /** An uploaded policy came into force; `replaced`: the rules that IMA started with are gone from now on. */
  imaPolicyLoaded?(x: ExtensionCursor<S>, replaced: boolean): void;
  readonly ipeProperties?: readonly ExtensionProperty<S>[];
  /** Forms of archive members of an initial ram disk. */
  readonly archiveForms?: readonly ArchiveForm[];
  readonly calls?: { readonly [name: string]: ExtensionCall<S> };
}

declare const erased: unique symbol;
/** A declaration whose state's type is known to itself only. */
export type Extension = ExtensionDeclaration<{ readonly [erased]: never }>;

/** Closes a declaration over its own state. */
export function defineExtension<S>(declaration: ExtensionDeclaration<S>): Extension {
  assert(/^[a-z0-9_]+$/.test(declaration.name), `name of design ${declaration.name}`);
  return declaration as unknown as Extension;
}

const REGISTERED = new Map<string, Extension>();

/** Makes a design known to every machine of the process; a second one of the same name is our mistake. */
export function registerExtension(extension: Extension): void {
  const known = REGISTERED.get(extension.name);
  assert(known === undefined || known === extension, `two designs are called ${extension.name}`);
  REGISTERED.set(extension.name, extension);
}

/** Names of the designs that are known, in the order of registration. */
export function extensionNames(): readonly string[] {
  return [...REGISTERED.keys()];
}

export function findExtension(name: string): Extension | undefined {
  return REGISTERED.get(name);
}

/** Design -> its state, for those that this kernel was built with. */
export type ExtensionsState = ImmutableMap<string, unknown>;

export const newExtensions = (): ExtensionsState => ImmutableMap();

type ErasedCursor = ExtensionCursor<{ readonly [erased]: never }>;

/** One active design with its cursor. */
export interface ActiveExtension {
  readonly extension: Extension;
  readonly cursor: ErasedCursor;
}

const NONE: readonly ActiveExtension[] = [];

/**
 * The designs of one machine. Without any, nothing is asked and nothing is made.
 * @kernel security/security.c security_add_hooks()
 */
export class Extensions {
  state: ExtensionsState;
  readonly #rooms: Rooms;
  #active: readonly ActiveExtension[] | null = null;
  #nodes: ReadonlyMap<string, PseudoNode> | null = null;

  constructor(state: ExtensionsState, rooms: Rooms) {
    this.state = state;
    this.#rooms = rooms;
  }

  /** Active designs in the order in which the machine names them. */
  get active(): readonly ActiveExtension[] {
    if (this.state.size === 0) return NONE;
    this.#active ??= [...this.state.keys()].map((name) => {
      const extension = REGISTERED.get(name);
      assert(extension !== undefined, `design ${name} is not registered`);
      return { extension, cursor: this.#cursor(name) };
    });
    return this.#active;
  }

  #cursor(name: string): ErasedCursor {
    const owner = this;
    return {
      rooms: this.#rooms,
      get state() {
        return owner.state.get(name) as ErasedCursor['state'];
      },
      set state(next) {
        owner.state = owner.state.set(name, next);
      },
    };
  }

  /** Starts the designs that the kernel was built with; what they kept before is gone. */
  start(names: readonly string[], parameters: ReadonlyMap<string, string>): void {
    this.#active = null;
    this.#nodes = null;
    this.state = newExtensions();
    for (const name of names) {
      const extension = REGISTERED.get(name);
      assert(extension !== undefined, `design ${name} is not registered`);
      this.state = this.state.set(name, extension.start(parameters, this.#rooms));
    }
  }

  /** Conditions that active designs add to the language of IMA rules. */
  get imaConditions(): readonly ImaCondition[] {
    return this.active.flatMap(({ extension, cursor: x }) =>
      (extension.imaConditions ?? []).map((c) => ({
        ...c,
        matches: (subject, op, value) => c.matches(x, subject, op, value),
      })),
    );
  }

  /** Types of security.ima that active designs add. */
  get imaLabelTypes(): readonly LabelType[] {
    return this.active.flatMap(({ extension, cursor: x }) =>
      (extension.imaLabelTypes ?? []).map((t) => ({
        type: t.type,
        verify: (inode, value, digest) => t.verify(x, inode, value, digest),
      })),
    );
  }

  /** What active designs want IMA to start with, in their order. */
  get imaDefaultRules(): readonly DefaultRules[] {
    return this.active.flatMap(({ extension, cursor }) => extension.imaDefaultRules?.(cursor) ?? []);
  }

  imaPolicyLoaded(replaced: boolean): void {
    for (const { extension, cursor } of this.active) extension.imaPolicyLoaded?.(cursor, replaced);
  }

  /** Properties that active designs add to the language of IPE rules. */
  get ipeProperties(): readonly IpeProperty[] {
    return this.active.flatMap(({ extension, cursor: x }) =>
      (extension.ipeProperties ?? []).map((p) => ({
        ...p,
        evaluate: (context, value) => p.evaluate(x, context, value),
      })),
    );
  }

  /** What the kernel asks of active designs besides the hooks. */
  get listeners(): readonly KernelListeners[] {
    return this.active.flatMap(({ extension, cursor }) =>
      extension.listeners === undefined ? [] : [extension.listeners(cursor)],
    );
  }

  /** Nodes below securityfs, with the key that finds their behaviour. */
  get nodes(): readonly (ExtensionNode & { readonly key: string })[] {
    return this.active.flatMap(({ extension, cursor }) =>
      (extension.nodes?.(cursor) ?? []).map((n) => ({ ...n, key: nodeKey(n.path) })),
    );
  }

  findNode(key: string): PseudoNode | undefined {
    this.#nodes ??= new Map(
      this.nodes.flatMap((n) => (n.node === undefined ? [] : [[n.key, n.node] as const])),
    );
    return this.#nodes.get(key);
  }

  /** The call of that name, closed over its design; undefined where no active design has it. */
  findCall(name: string): ((task: Task, args: PlainRecord) => Result<PlainRecord>) | undefined {
    for (const { extension, cursor } of this.active) {
      const call = extension.calls?.[name];
      if (call !== undefined) return (task, args) => call(cursor, task, args);
    }
    return undefined;
  }
}

/** Key of a node of a design in the table of pseudo files. */
export function nodeKey(path: string): string {
  return `ext/${path}`;
}
