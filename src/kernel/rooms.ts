// The rooms of a machine as one table: how each cursor is made from its part of the state and the other
// cursors. A room that is added later is one member of Cursors and one line of the table; state, forks and
// JSON follow from them.

import { Clock } from '../base/clock.ts';
import type { Err } from '../base/errno.ts';
import { fail, ok } from '../base/errno.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import { Random } from '../base/random.ts';
import { Trace } from '../base/trace.ts';
import { Evm } from '../evm/evm.ts';
import { Ima } from '../ima/ima.ts';
import { Audit } from '../integrity/audit.ts';
import { kernelReadFileFromPath } from '../integrity/kernel-read-file.ts';
import { Keyrings } from '../integrity/keyrings.ts';
import { Trust } from '../integrity/trust.ts';
import { Ipe } from '../ipe/ipe.ts';
import { IPE_PROPERTIES } from '../ipe/properties.ts';
import { Smack } from '../lsm/smack.ts';
import type { LsmStack } from '../lsm/stack.ts';
import { Tpm } from '../tpm/tpm.ts';
import type { PseudoNode } from '../vfs/api.ts';
import type { VfsTask } from '../vfs/types.ts';
import { Vfs } from '../vfs/vfs.ts';
import { bootTask } from './boot-task.ts';
import type { LateChip } from './chip.ts';
import { secureBootOf } from './firmware.ts';
import { Kernel, type KernelListeners } from './kernel.ts';
import { securityfsNodes } from './securityfs.ts';
import { fromKid, makeKid } from './user-namespace.ts';

/** Every cursor, by the name of its part of the state. */
export interface Cursors {
  trace: Trace;
  clock: Clock;
  random: Random;
  audit: Audit;
  vfs: Vfs;
  /** null on a machine without a TPM. */
  tpm: Tpm | null;
  keys: Keyrings;
  evm: Evm;
  ima: Ima;
  ipe: Ipe;
  smack: Smack;
  kernel: Kernel;
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

/** How each cursor is made; the order is that of dependence. */
const TABLE: { readonly [K in keyof Cursors]: Make<K> } = {
  trace: (state) => new Trace(state),
  clock: (state) => new Clock(state),
  random: (state) => new Random(state),
  audit: (state) => new Audit(state),
  vfs: (state, r) =>
    new Vfs(state, {
      trace: r.trace,
      clock: r.clock,
      random: r.random,
      hooks: r.hooks,
      pseudo: { find: r.findPseudo },
      mountInUse: (mount) =>
        r.kernel.state.tasks.some((t) => t.cwd.mount === mount || t.root.mount === mount),
      verityRequireSignatures: () => r.kernel.state.sysctl.get('fs/verity/require_signatures') === '1',
      idMapped: (ns, kind, id) => fromKid(r.kernel, ns, kind, id) !== null,
      veritySignature: (formatted, signature): Err => {
        // Nobody put a key there: the signature is not even parsed.
        if (r.keys.named('.fs-verity')?.links?.length === 0) return 'ENOKEY';
        const verdict = r.trust.verifyPkcs7(signature, { keyring: 'fs-verity', detached: formatted });
        return verdict.ok ? 0 : verdict.errno;
      },
      // Script disks and hash trees are not read by anything that looks at their bytes.
      deviceContent: () => new Uint8Array(0),
    }),
  tpm: (state, r) => (state === null ? null : new Tpm(state, { clock: r.clock, trace: r.trace })),
  keys: (state, r) =>
    new Keyrings(state, {
      random: r.random,
      trace: r.trace,
      listeners: {
        keyLinked: (task, keyring, type, payload) => {
          if (type === 'asymmetric') r.ima.keyLinked(task ?? bootTask(r), keyring, payload);
        },
      },
      joinSession: (task, serial) => {
        const now = r.kernel.task(task.pid);
        if (now !== undefined) r.kernel.patch(now, { sessionKeyring: serial });
      },
      verifyBuiltin: (_keys, data, der) => {
        const verdict = r.trust.verifyPkcs7(der, { keyring: 'builtin', detached: data });
        return verdict.ok ? 0 : verdict.errno;
      },
    }),
  evm: (state, r) =>
    new Evm(state, {
      profile: r.profile,
      trace: r.trace,
      audit: r.audit,
      vfs: r.vfs,
      keys: r.trust,
      requestSecret: (task, description) => {
        const key = r.keys.requestKey(keyTask(r, task), 'encrypted', description);
        return key.ok ? ok(key.value.encrypted?.decrypted ?? new Uint8Array(0)) : key;
      },
    }),
  ima: (state, r) =>
    new Ima(state, {
      trace: r.trace,
      clock: r.clock,
      vfs: r.vfs,
      chip: r.chip,
      audit: r.audit,
      evm: r.evm,
      keys: r.trust,
      profile: r.profile,
      readFile: (task, path, id) => kernelReadFileFromPath(r.vfs, r.hooks, task, path, id),
      platform: {
        arch: 'efi',
        get secureBoot() {
          return enabled(r.profile, 'CONFIG_IMA_ARCH_POLICY') && secureBootOf(r.kernel.state.eventLog);
        },
        trustedBoot: r.tpm !== null,
        moduleSigEnforced: () => r.kernel.state.sysctl.get('module.sig_enforce') === 'Y',
      },
      printk: (line) => r.kernel.printk(line),
      labels: {
        known: (field, value) => r.smack.known(field, value),
        match: (subject, field, value) => r.smack.match(subject, field, value),
      },
      mapId: (ns, kind, id) => makeKid(r.kernel, ns, kind, id),
    }),
  smack: (state, r) => {
    const smack = new Smack(state, {
      vfs: r.vfs,
      audit: r.audit,
      setLabel: (pid, label) => {
        const task = r.kernel.task(pid);
        if (task !== undefined) r.kernel.patch(task, { cred: { ...task.cred, label } });
      },
    });
    r.audit.subject = (task) => smack.subject(task);
    return smack;
  },
  ipe: (state, r) =>
    new Ipe(state, {
      profile: r.profile,
      trace: r.trace,
      audit: r.audit,
      vfs: r.vfs,
      keys: r.trust,
      securityfs: securityfsNodes(r.vfs),
      properties: IPE_PROPERTIES,
    }),
  kernel: (state, r) =>
    new Kernel(state, {
      profile: r.profile,
      clock: r.clock,
      random: r.random,
      trace: r.trace,
      audit: r.audit,
      vfs: r.vfs,
      hooks: r.hooks,
      listeners: listenersOf(r),
      keyCalls: r.keys,
    }),
};

/** Names of the state's parts, in the order the cursors are made. */
export const ROOMS = Object.keys(TABLE) as readonly (keyof Cursors)[];

const keyTask = (r: Rooms, task: VfsTask): VfsTask & { readonly sessionKeyring: number } => ({
  ...task,
  sessionKeyring: r.kernel.task(task.pid)?.sessionKeyring ?? 0,
});

function listenersOf(r: Rooms): KernelListeners {
  return {
    kexecCmdline: (task, file, cmdline) => r.ima.kexecCmdline(task, file, cmdline),
    criticalData: (task, label, event, data, hashed) => r.ima.criticalData(task, label, event, data, hashed),
    kexecSegment: (pages) => r.ima.kexecSegmentSize(pages),
    kexecBuffer: (segment) => r.ima.kexecBuffer(segment),
    verifyModuleSignature: (content, pkcs7) => r.trust.verifyModule(content, pkcs7),
    verifyPkcs7: (data, pkcs7, keyring) => verifyDetached(r, data, pkcs7, keyring),
    requestUserKey: (task, description) => {
      const key = r.keys.requestKey(keyTask(r, task), 'user', description);
      if (!key.ok) return key;
      return key.value.payload === null ? fail('EKEYREVOKED') : ok(key.value.payload);
    },
  };
}

function verifyDetached(
  r: Rooms,
  data: Uint8Array,
  pkcs7: Uint8Array,
  keyring: 'builtin' | 'secondary' | 'platform' | 'fs-verity',
): Err {
  const verdict = r.trust.verifyPkcs7(pkcs7, { keyring, detached: data });
  return verdict.ok ? 0 : verdict.errno;
}

function build<K extends keyof Cursors>(room: K, state: MachineState, r: Cursors): void {
  r[room] = TABLE[room](state[room], r as Rooms);
}

/**
 * Makes all cursors over a state, in place: `r` is the machine itself.
 * @kernel include/linux/init.h do_initcalls()
 */
export function buildRooms(state: MachineState, r: Cursors & { trust: Trust }): void {
  for (const room of ROOMS) {
    build(room, state, r);
    if (room === 'keys') r.trust = new Trust(r.keys, state.profile);
  }
}

/** The state as it is now: the cursors' parts in a new value. */
export function collectState(r: Cursors, profile: KernelProfile): MachineState {
  const out: Record<string, unknown> = { profile };
  for (const room of ROOMS) out[room] = r[room]?.state ?? null;
  return out as MachineState;
}
