// The rooms of a machine as one table: how each cursor is made from its part of the state and the other
// cursors. A room that is added later is one member of Cursors and one line of the table; state, forks and
// JSON follow from them.

import { Clock } from '../base/clock.ts';
import { Faults } from '../base/faults.ts';
import type { KernelProfile } from '../base/profile.ts';
import { Random } from '../base/random.ts';
import { Trace } from '../base/trace.ts';
import { Evm } from '../evm/evm.ts';
import { Ima } from '../ima/ima.ts';
import { Audit } from '../integrity/audit.ts';
import { Keyrings } from '../integrity/keyrings.ts';
import { Trust } from '../integrity/trust.ts';
import { Ipe } from '../ipe/ipe.ts';
import { Smack } from '../lsm/smack.ts';
import type { LsmStack } from '../lsm/stack.ts';
import { Tpm } from '../tpm/tpm.ts';
import type { PseudoNode } from '../vfs/api.ts';
import { Vfs } from '../vfs/vfs.ts';
import type { LateChip } from './chip.ts';
import {
  EvmEnvironment,
  ImaEnvironment,
  IpeEnvironment,
  KernelEnvironment,
  KeyringsEnvironment,
  SmackEnvironment,
  VfsEnvironment,
} from './environments.ts';
import { Extensions } from './extension.ts';
import { Kernel } from './kernel.ts';

/** Every cursor, by the name of its part of the state. */
export interface Cursors {
  readonly trace: Trace;
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: Faults;
  readonly audit: Audit;
  readonly vfs: Vfs;
  /** null on a machine without a TPM. */
  readonly tpm: Tpm | null;
  readonly keys: Keyrings;
  readonly evm: Evm;
  readonly ima: Ima;
  readonly ipe: Ipe;
  readonly smack: Smack;
  readonly kernel: Kernel;
  readonly extensions: Extensions;
}

type StateOf<C> = C extends { readonly state: infer S } ? S : null;

/** The whole state of a machine: one plain value. */
export type MachineState = { readonly [room in keyof Cursors]: StateOf<Cursors[room]> } & {
  readonly profile: KernelProfile;
};

/** The cursors with what only exists while the machine is in memory. */
export interface Rooms extends Cursors {
  readonly profile: KernelProfile;
  readonly chip: LateChip | null;
  readonly hooks: LsmStack;
  readonly trust: Trust;
  /** Behaviour of a pseudo file or character device. */
  readonly findPseudo: (key: string) => PseudoNode | undefined;
}

type Make<K extends keyof Cursors> = (state: MachineState[K], r: Rooms) => Cursors[K];

/** How each cursor is made; its environment is in environments.ts. */
const TABLE: { readonly [K in keyof Cursors]: Make<K> } = {
  trace: (state) => new Trace(state),
  clock: (state) => new Clock(state),
  random: (state) => new Random(state),
  faults: (state, r) => new Faults(state, r),
  audit: (state, r) => {
    const audit = new Audit(state);
    audit.subject = (task) => r.smack.subject(task);
    return audit;
  },
  vfs: (state, r) => new Vfs(state, new VfsEnvironment(r)),
  tpm: (state, r) => (state === null ? null : new Tpm(state, r)),
  keys: (state, r) => new Keyrings(state, new KeyringsEnvironment(r)),
  evm: (state, r) => new Evm(state, new EvmEnvironment(r)),
  ima: (state, r) => new Ima(state, new ImaEnvironment(r)),
  smack: (state, r) => new Smack(state, new SmackEnvironment(r)),
  ipe: (state, r) => new Ipe(state, new IpeEnvironment(r)),
  kernel: (state, r) => new Kernel(state, new KernelEnvironment(r)),
  extensions: (state, r) => new Extensions(state, r),
};

/**
 * Cursors over a state, each made when it is first asked for: a fork costs a few small objects, and a room
 * that nothing touches costs nothing.
 */
export abstract class LazyRooms implements Cursors {
  /** The parts of rooms that have no cursor yet are taken from here. */
  readonly #base: MachineState;
  #trace: Trace | null = null;
  #clock: Clock | null = null;
  #random: Random | null = null;
  #faults: Faults | null = null;
  #audit: Audit | null = null;
  #vfs: Vfs | null = null;
  #tpm: Tpm | null = null;
  #keys: Keyrings | null = null;
  #trust: Trust | null = null;
  #evm: Evm | null = null;
  #ima: Ima | null = null;
  #smack: Smack | null = null;
  #ipe: Ipe | null = null;
  #kernel: Kernel | null = null;
  #extensions: Extensions | null = null;
  #profile: KernelProfile;

  constructor(base: MachineState) {
    this.#base = base;
    this.#profile = base.profile;
  }

  get profile(): KernelProfile {
    return this.#profile;
  }

  /** Another kernel boots: what the rooms keep of the old one must be made anew by the caller. */
  useProfile(profile: KernelProfile): void {
    this.#profile = profile;
    this.#trust = null;
  }

  #make<K extends keyof Cursors>(room: K): Cursors[K] {
    return TABLE[room](this.#base[room], this as unknown as Rooms);
  }

  get trace(): Trace {
    this.#trace ??= this.#make('trace');
    return this.#trace;
  }

  get clock(): Clock {
    this.#clock ??= this.#make('clock');
    return this.#clock;
  }

  get random(): Random {
    this.#random ??= this.#make('random');
    return this.#random;
  }

  get faults(): Faults {
    this.#faults ??= this.#make('faults');
    return this.#faults;
  }

  get audit(): Audit {
    this.#audit ??= this.#make('audit');
    return this.#audit;
  }

  get vfs(): Vfs {
    this.#vfs ??= this.#make('vfs');
    return this.#vfs;
  }

  get tpm(): Tpm | null {
    this.#tpm ??= this.#make('tpm');
    return this.#tpm;
  }

  get keys(): Keyrings {
    this.#keys ??= this.#make('keys');
    return this.#keys;
  }

  get evm(): Evm {
    this.#evm ??= this.#make('evm');
    return this.#evm;
  }

  get ima(): Ima {
    this.#ima ??= this.#make('ima');
    return this.#ima;
  }

  get smack(): Smack {
    this.#smack ??= this.#make('smack');
    return this.#smack;
  }

  get ipe(): Ipe {
    this.#ipe ??= this.#make('ipe');
    return this.#ipe;
  }

  get extensions(): Extensions {
    this.#extensions ??= this.#make('extensions');
    return this.#extensions;
  }

  get kernel(): Kernel {
    this.#kernel ??= this.#make('kernel');
    return this.#kernel;
  }

  get trust(): Trust {
    this.#trust ??= new Trust(this.keys, this.#profile);
    return this.#trust;
  }

  /** The whole state as it is now, as one immutable value. */
  get state(): MachineState {
    const base = this.#base;
    return {
      profile: this.#profile,
      trace: this.#trace === null ? base.trace : this.#trace.state,
      clock: this.#clock === null ? base.clock : this.#clock.state,
      random: this.#random === null ? base.random : this.#random.state,
      faults: this.#faults === null ? base.faults : this.#faults.state,
      audit: this.#audit === null ? base.audit : this.#audit.state,
      vfs: this.#vfs === null ? base.vfs : this.#vfs.state,
      tpm: this.#tpm === null ? base.tpm : this.#tpm.state,
      keys: this.#keys === null ? base.keys : this.#keys.state,
      evm: this.#evm === null ? base.evm : this.#evm.state,
      ima: this.#ima === null ? base.ima : this.#ima.state,
      smack: this.#smack === null ? base.smack : this.#smack.state,
      ipe: this.#ipe === null ? base.ipe : this.#ipe.state,
      kernel: this.#kernel === null ? base.kernel : this.#kernel.state,
      extensions: this.#extensions === null ? base.extensions : this.#extensions.state,
    };
  }
}
