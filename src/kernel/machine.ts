// The machine: one cursor over the whole state. It boots, hands out system calls, forks in constant time,
// goes to JSON and back, and shows what exporters and verifiers want: lists, registers, event log. The work
// is in the rooms.

import '../crypto/auto.ts';
import { assert } from '../base/assert.ts';
import { toHex, utf8 } from '../base/bytes.ts';
import type { Err } from '../base/errno.ts';
import { newFaults } from '../base/faults.ts';
import { decodeState, encodeState, type Json, stateText } from '../base/json.ts';
import { toArray } from '../base/list.ts';
import { type KernelProfile, PROFILES } from '../base/profile.ts';
import { seedRandom } from '../base/random.ts';
import { newTrace } from '../base/trace.ts';
import { crypto, type HashName } from '../crypto/provider.ts';
import { newEvm } from '../evm/state.ts';
import { newIma } from '../ima/boot.ts';
import { newAudit } from '../integrity/audit.ts';
import { newKeyrings } from '../integrity/keyrings.ts';
import { newIpe } from '../ipe/ipe.ts';
import { newSmack } from '../lsm/smack.ts';
import { LsmStack } from '../lsm/stack.ts';
import { hashAlgOf } from '../tpm/algorithms.ts';
import { manufacture } from '../tpm/manufacture.ts';
import type { PseudoNode } from '../vfs/api.ts';
import { newVfs } from '../vfs/vfs.ts';
import type { DiskEdit, MachineApi, MachineConfig, Pid, SpawnOptions } from './api.ts';
import { powerOn } from './boot.ts';
import { lsmModules } from './boot-security.ts';
import { LateChip } from './chip.ts';
import { newExtensions } from './extension.ts';
import { crashKernel, rebootNotifiers, secondKernel } from './next-kernel.ts';
import { editDisk } from './offline.ts';
import { Power } from './power.ts';
import { pseudoFinder } from './pseudo.ts';
import { banksOfLog } from './real-log.ts';
import { LazyRooms, type MachineState, type Rooms } from './rooms.ts';
import { readSecurityfs } from './securityfs.ts';
import { type BootSetup, type KernelImage, newKernel } from './state.ts';
import { TaskSyscalls } from './syscalls.ts';
import { exitTask, spawnTask } from './task.ts';

/** 2026-01-01. */
const DEFAULT_BOOT_TIME = 1767225600;
const DEFAULT_PROFILE = 'linux-6.12.107';

function profileOf(profile: string | KernelProfile | undefined): KernelProfile {
  if (typeof profile === 'object') return profile;
  const found = PROFILES[profile ?? DEFAULT_PROFILE];
  assert(found !== undefined, `no kernel profile ${profile}`);
  return found;
}

/**
 * Banks of the TPM: as asked, else those that preset registers or an event log name, else the TPM's own
 * choice.
 */
function banksOf(config: MachineConfig): readonly HashName[] | undefined {
  const asked = config.tpm?.banks;
  if (asked !== undefined) return asked;
  const { firmware } = config;
  if (firmware === undefined || 'events' in firmware) return undefined;
  if ('uefi' in firmware) return undefined;
  const named =
    'pcrs' in firmware ? (Object.keys(firmware.pcrs) as HashName[]) : banksOfLog(firmware.eventlog);
  return named.length === 0 ? undefined : named;
}

function imageOf(config: MachineConfig): KernelImage {
  const { initramfs, initramfsImage, trustedKeys, ipeBootPolicy, proposals } = config;
  return {
    ...(initramfs === undefined ? {} : { initramfs }),
    ...(initramfsImage === undefined ? {} : { initramfsImage }),
    ...(trustedKeys === undefined ? {} : { trustedKeys }),
    ...(ipeBootPolicy === undefined ? {} : { ipeBootPolicy }),
    ...(proposals === undefined ? {} : { proposals }),
  };
}

function setupOf({ cmdline, firmware }: MachineConfig): BootSetup {
  return {
    ...(cmdline === undefined ? {} : { cmdline }),
    ...(firmware === undefined ? {} : { firmware }),
  };
}

/** The state before power is on. */
function newMachine(config: MachineConfig): MachineState {
  const profile = profileOf(config.profile);
  const seed = config.seed ?? 'kisim';
  const banks = banksOf(config);
  return {
    profile,
    trace: newTrace(),
    clock: { uptimeUs: 0, bootSec: config.bootTime ?? DEFAULT_BOOT_TIME },
    random: seedRandom(seed),
    faults: config.faults ?? newFaults(),
    audit: newAudit(),
    vfs: newVfs(),
    tpm: config.tpm === null ? null : manufacture({ seed, ...(banks === undefined ? {} : { banks }) }),
    keys: newKeyrings(),
    evm: newEvm(profile),
    ima: newIma(profile),
    smack: newSmack(),
    ipe: newIpe(),
    extensions: newExtensions(),
    kernel: {
      ...newKernel(config.cmdline ?? '', imageOf(config), (config.memoryMb ?? 512) * 1024),
      setup: setupOf(config),
    },
  };
}

/** @kernel init/main.c start_kernel() */
export class Machine extends LazyRooms implements MachineApi, Rooms {
  readonly power = new Power(this);
  readonly chip: LateChip | null;
  readonly hooks: LsmStack;
  readonly findPseudo: (key: string) => PseudoNode | undefined;

  constructor(state: MachineState) {
    super(state);
    this.hooks = new LsmStack(() => lsmModules(this));
    this.findPseudo = pseudoFinder(this);
    this.chip = state.tpm === null ? null : new LateChip(this);
  }

  /** Power-on to the first task. */
  static boot(config: MachineConfig = {}): Machine {
    const machine = new Machine(newMachine(config));
    powerOn(machine, config);
    return machine;
  }

  static readonly #booted = new WeakMap<MachineConfig, MachineState>();

  /**
   * As boot(), but the same config object boots once: later calls give forks of the machine as it was then.
   * For runs that start from one machine again and again; the config must not be changed in between.
   */
  static bootOnce(config: MachineConfig): Machine {
    let state = Machine.#booted.get(config);
    if (state === undefined) {
      state = Machine.boot(config).state;
      Machine.#booted.set(config, state);
    }
    return new Machine(state);
  }

  static fromState(state: MachineState): Machine {
    return new Machine(state);
  }

  static fromJSON(json: Json): Machine {
    return new Machine(decodeState(json) as MachineState);
  }

  toJSON(): Json {
    return encodeState(this.state);
  }

  fork(): Machine {
    return new Machine(this.state);
  }

  spawn(options: SpawnOptions): Pid {
    const parent = this.kernel.task(options.parent ?? 1);
    assert(parent !== undefined, `spawn: no task ${options.parent ?? 1}`);
    return spawnTask(this.kernel, parent, options);
  }

  exit(pid: Pid): void {
    exitTask(this.kernel, pid);
  }

  sys(pid: Pid): TaskSyscalls {
    return new TaskSyscalls(this.kernel, pid);
  }

  advance(us: number): void {
    this.clock.advance(us);
  }

  /** kexec -e: this machine is the second kernel from then on. */
  kexecReboot(tamper?: (segment: Uint8Array) => Uint8Array): Err {
    return secondKernel(this, tamper);
  }

  kexecPrepare(): Err {
    return rebootNotifiers(this);
  }

  crash(): Err {
    return crashKernel(this);
  }

  /** Another computer writes to a disk of this machine that is not mounted. */
  editDisk(disk: string, edit: DiskEdit): Err {
    return editDisk(this, disk, edit);
  }

  // -- what exporters and verifiers ask for

  traceDigest(): string {
    const lines = toArray(this.trace.state.events).map((e) => `${stateText(e)}\n`);
    return toHex(crypto().hash('sha256', utf8(lines.join(''))));
  }

  /**
   * Content of a node below /sys/kernel/security, read without a system call; undefined when there is none.
   */
  securityfs(path: string): Uint8Array | undefined {
    return readSecurityfs(this, path);
  }

  /** The measurement list as a file of securityfs shows it; the default bank is sha1. */
  imaList(form: 'ascii' | 'binary', bank: HashName = 'sha1'): Uint8Array {
    return this.securityfs(`integrity/ima/${form}_runtime_measurements_${bank}`) ?? new Uint8Array(0);
  }

  /** Banks of the TPM as the driver found them. */
  get banks(): readonly HashName[] {
    return this.chip?.banks ?? [];
  }

  /** A register straight from the device's state: no command is sent, no event is traced. */
  pcr(bank: HashName, index: number): Uint8Array | undefined {
    return this.#pcrs(bank)?.[index] ?? undefined;
  }

  #pcrs(bank: HashName): readonly (Uint8Array | null)[] | undefined {
    return this.tpm?.state.pcr.find((b) => b.alg === hashAlgOf(bank))?.pcrs;
  }

  /** The firmware's log; empty without a TPM or when the registers were preset. */
  eventLog(): Uint8Array {
    return this.kernel.state.eventLog;
  }

  /** Sends a command to the TPM as a program with /dev/tpm0 does. */
  tpmCommand(command: Uint8Array): Uint8Array {
    assert(this.tpm !== null, 'the machine has no TPM');
    return this.tpm.execute(command);
  }
}
