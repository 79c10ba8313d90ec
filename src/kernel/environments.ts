// What each room sees of the others: its environment over the machine's rooms. Cursors are reached by
// getters, so that making one room makes no other; functions are fields, because rooms may take them out of
// their environment before they call them.

import type { Clock } from '../base/clock.ts';
import { type Err, fail, ok, type Result } from '../base/errno.ts';
import type { Faults } from '../base/faults.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import type { Random } from '../base/random.ts';
import type { Trace } from '../base/trace.ts';
import type { EvmApi } from '../evm/api.ts';
import type { EvmEnv } from '../evm/evm.ts';
import type { DefaultRules, ImaEnv } from '../ima/cursor.ts';
import type { ImaCondition, LabelType } from '../ima/types.ts';
import type { Audit } from '../integrity/audit.ts';
import { kernelReadFileFromPath } from '../integrity/kernel-read-file.ts';
import type { KeyringListeners, KeyringsEnv } from '../integrity/keyrings.ts';
import { KEYRING_REASON } from '../integrity/keyrings-reasons.ts';
import type { KeyTask } from '../integrity/keys-types.ts';
import type { Trust } from '../integrity/trust.ts';
import type { TrustedEnv } from '../integrity/trusted-key.ts';
import type { IpeEnv } from '../ipe/env.ts';
import { IPE_PROPERTIES, type IpeProperty } from '../ipe/properties.ts';
import type { SmackEnv } from '../lsm/smack.ts';
import { describeRc } from '../tpm/rc.ts';
import type { VfsApi, VfsEnv } from '../vfs/api.ts';
import { CAP_SYS_ADMIN } from '../vfs/constants.ts';
import type { KernelReadId, SecurityHooks } from '../vfs/hooks.ts';
import { capable } from '../vfs/perm.ts';
import type { VfsTask } from '../vfs/types.ts';
import { bootTask } from './boot-task.ts';
import type { LateChip } from './chip.ts';
import { dmVerityCorrupted } from './dm-verity.ts';
import { decodeEventLog } from './eventlog.ts';
import { secureBootOf } from './firmware.ts';
import type { KernelEnv, KernelListeners } from './kernel.ts';
import type { KeyCalls } from './key-calls.ts';
import type { Rooms } from './rooms.ts';
import { securityfsNodes } from './securityfs.ts';
import { fromKid, makeKid } from './user-namespace.ts';

/**
 * The task as keyctl sees it: with the session keyring that the kernel keeps for it.
 * @kernel include/linux/cred.h struct cred session_keyring
 */
function keyTask(r: Rooms, task: VfsTask): KeyTask {
  return { ...task, sessionKeyring: r.kernel.task(task.pid)?.sessionKeyring ?? 0 };
}

type Keyring = 'builtin' | 'secondary' | 'platform' | 'fs-verity';

function verifyDetached(r: Rooms, data: Uint8Array, pkcs7: Uint8Array, keyring: Keyring): Err {
  const verdict = r.trust.verifyPkcs7(pkcs7, { keyring, detached: data });
  return verdict.ok ? 0 : verdict.errno;
}

/** The cursors that nearly every room reaches. */
class Environment {
  protected readonly r: Rooms;

  constructor(rooms: Rooms) {
    this.r = rooms;
  }

  get profile(): KernelProfile {
    return this.r.profile;
  }

  get trace(): Trace {
    return this.r.trace;
  }

  get clock(): Clock {
    return this.r.clock;
  }

  get random(): Random {
    return this.r.random;
  }

  get audit(): Audit {
    return this.r.audit;
  }

  get vfs(): VfsApi {
    return this.r.vfs;
  }

  get hooks(): SecurityHooks {
    return this.r.hooks;
  }
}

export class VfsEnvironment extends Environment implements VfsEnv {
  readonly pseudo: VfsEnv['pseudo'];

  constructor(rooms: Rooms) {
    super(rooms);
    this.pseudo = { find: rooms.findPseudo };
  }

  readonly mountInUse = (mount: number): boolean =>
    this.r.kernel.state.tasks.some((t) => t.cwd.mount === mount || t.root.mount === mount);

  readonly verityRequireSignatures = (): boolean =>
    this.r.kernel.state.sysctl.get('fs/verity/require_signatures') === '1';

  readonly idMapped = (ns: number, kind: 'uid' | 'gid', id: number): boolean =>
    fromKid(this.r.kernel, ns, kind, id) !== null;

  readonly makeId = (ns: number, kind: 'uid' | 'gid', id: number): number | null =>
    makeKid(this.r.kernel, ns, kind, id);

  readonly fromId = (ns: number, kind: 'uid' | 'gid', id: number): number | null =>
    fromKid(this.r.kernel, ns, kind, id);

  readonly veritySignature = (formatted: Uint8Array, signature: Uint8Array): Err => {
    // Nobody put a key there: the signature is not even parsed.
    if (this.r.keys.named('.fs-verity')?.links?.length === 0) return 'ENOKEY';
    return verifyDetached(this.r, formatted, signature, 'fs-verity');
  };

  readonly verityCorrupted = (device: string, block: number, mode: string | null): void =>
    dmVerityCorrupted(this.r.kernel, device, block, mode);

  /** Script disks and hash trees are not read by anything that looks at their bytes. */
  readonly deviceContent = (): Uint8Array => new Uint8Array(0);
}

export class KeyringsEnvironment extends Environment implements KeyringsEnv {
  readonly listeners: KeyringListeners = {
    keyLinked: (task, keyring, type, payload) => {
      if (type === 'asymmetric') this.r.ima.keyLinked(task ?? bootTask(this.r), keyring, payload);
    },
  };

  readonly trusted = (task: KeyTask | null): TrustedEnv | null => {
    const { chip, trace } = this.r;
    if (chip === null) return null;
    return {
      chip,
      mayLock: task !== null && capable(task.cred, CAP_SYS_ADMIN),
      refused: (what, rc) =>
        trace.emit('keys.refused', { what, rc: describeRc(rc) }, KEYRING_REASON['keys.seal_refused']),
    };
  };

  readonly joinSession = (task: KeyTask, serial: number): void => {
    const now = this.r.kernel.task(task.pid);
    if (now !== undefined) this.r.kernel.patch(now, { sessionKeyring: serial });
  };

  readonly sessionUsers = (serial: number): number =>
    [...this.r.kernel.state.tasks.values()].filter((t) => t.sessionKeyring === serial).length;

  readonly verifyBuiltin = (_keys: unknown, data: Uint8Array, der: Uint8Array): Err =>
    verifyDetached(this.r, data, der, 'builtin');
}

export class EvmEnvironment extends Environment implements EvmEnv {
  get keys(): Trust {
    return this.r.trust;
  }

  readonly requestSecret = (task: VfsTask, description: string): Result<Uint8Array> => {
    const key = this.r.keys.requestKey(keyTask(this.r, task), 'encrypted', description);
    return key.ok ? ok(key.value.encrypted?.decrypted ?? new Uint8Array(0)) : key;
  };
}

export class ImaEnvironment extends Environment implements ImaEnv {
  get chip(): LateChip | null {
    return this.r.chip;
  }

  get evm(): EvmApi {
    return this.r.evm;
  }

  get keys(): Trust {
    return this.r.trust;
  }

  get faults(): Faults {
    return this.r.faults;
  }

  readonly readFile = (task: VfsTask, path: string, id: KernelReadId): Result<Uint8Array> =>
    kernelReadFileFromPath(this.r.vfs, this.r.hooks, task, path, id);

  get platform(): NonNullable<ImaEnv['platform']> {
    const { r } = this;
    const arch = enabled(r.profile, 'CONFIG_IMA_ARCH_POLICY');
    return {
      arch: 'efi',
      secureBoot: arch && secureBootOf(decodeEventLog(r.kernel.state.eventLog).events),
      trustedBoot: r.tpm !== null,
      moduleSigEnforced: () => r.kernel.state.sysctl.get('module.sig_enforce') === 'Y',
    };
  }

  get conditions(): readonly ImaCondition[] {
    return this.r.extensions.imaConditions;
  }

  get labelTypes(): readonly LabelType[] {
    return this.r.extensions.imaLabelTypes;
  }

  get defaultRules(): readonly DefaultRules[] {
    return this.r.extensions.imaDefaultRules;
  }

  readonly policyLoaded = (replaced: boolean): void => this.r.extensions.imaPolicyLoaded(replaced);

  readonly printk = (line: string): void => this.r.kernel.printk(line);

  readonly labels: NonNullable<ImaEnv['labels']> = {
    known: (field, value) => this.r.smack.known(field, value),
    match: (subject, field, value) => this.r.smack.match(subject, field, value),
  };

  readonly mapId = (ns: number, kind: 'uid' | 'gid', id: number): number | null =>
    makeKid(this.r.kernel, ns, kind, id);
}

export class SmackEnvironment extends Environment implements SmackEnv {
  readonly setLabel = (pid: number, label: string): void => {
    const task = this.r.kernel.task(pid);
    if (task !== undefined) this.r.kernel.patch(task, { cred: { ...task.cred, label } });
  };
}

export class IpeEnvironment extends Environment implements IpeEnv {
  get properties(): readonly IpeProperty[] {
    const { extensions } = this.r;
    return extensions.active.length === 0 ? IPE_PROPERTIES : [...IPE_PROPERTIES, ...extensions.ipeProperties];
  }

  readonly securityfs: IpeEnv['securityfs'];

  constructor(rooms: Rooms) {
    super(rooms);
    this.securityfs = securityfsNodes(rooms.vfs);
  }

  get keys(): Trust {
    return this.r.trust;
  }
}

export class KernelEnvironment extends Environment implements KernelEnv {
  #listeners: KernelListeners | null = null;

  get keyCalls(): KeyCalls {
    return this.r.keys;
  }

  get listeners(): KernelListeners {
    this.#listeners ??= listenersOf(this.r);
    return this.#listeners;
  }

  readonly findCall: KernelEnv['findCall'] = (name) => this.r.extensions.findCall(name);
}

/** Where several designs listen the last one answers, but each is asked to lock and to verify a program. */
function listenersOf(r: Rooms): KernelListeners {
  const designs = r.extensions.listeners;
  const all = Object.assign({}, machineListeners(r), ...designs) as KernelListeners;
  if (designs.length < 2) return all;
  const first = (ask: (design: KernelListeners) => Err | undefined): Err => {
    for (const design of designs) {
      const err = ask(design) ?? 0;
      if (err !== 0) return err;
    }
    return 0;
  };
  return {
    ...all,
    execLock: (task, file) => first((d) => d.execLock?.(task, file)),
    execVerify: (task, file) => first((d) => d.execVerify?.(task, file)),
  };
}

function machineListeners(r: Rooms): KernelListeners {
  return {
    kexecCmdline: (task, file, cmdline) => r.ima.kexecCmdline(task, file, cmdline),
    criticalData: (task, label, event, data, hashed) => r.ima.criticalData(task, label, event, data, hashed),
    kexecSegment: (pages) => r.ima.kexecSegmentSize(pages),
    kexecEvent: (task, event, segment) => r.ima.kexecEvent(task, event, segment),
    rebooting: () => r.ima.rebootNotifier(),
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
