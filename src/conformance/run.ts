// Runs a recorded case on a machine and writes what happened in the form of a record. Before the
// operations it does what the in-guest program does (mounts, a few reads), because policies see those
// accesses too.

import { toArray } from '../base/list.ts';
import { auditLine } from '../integrity/audit.ts';
import type { MachineApi, MachineConfig, SyscallApi } from '../kernel/api.ts';
import { finalState } from '../scenario/ops/integrity.ts';
import type { OpResult, Value } from '../scenario/ops/types.ts';
import { type OpInput, runOp, Session } from '../scenario/session.ts';
import { O_CLOEXEC, O_WRONLY } from '../vfs/constants.ts';
import type { RecordedCase } from './case.ts';
import { machineConfigOf, type RecordedEnvironment } from './environment.ts';

export interface Stage {
  readonly ops: readonly OpResult[];
  readonly final: { readonly [member: string]: Value };
}

export interface CaseRecord extends Stage {
  readonly name: string;
  readonly group: string;
  readonly stage2?: Stage;
  /** A fault of the simulator itself stopped the case here. */
  readonly internal?: string;
}

export type BootMachine = (config: MachineConfig) => MachineApi;

const INIT_PID = 1;
/** The audit subsystem's own `state=initialized` record is number 1. */
const FIRST_SERIAL = 2;
const MOUNTS: readonly (readonly [source: string, target: string, type: string])[] = [
  ['proc', '/proc', 'proc'],
  ['sysfs', '/sys', 'sysfs'],
  ['dev', '/dev', 'devtmpfs'],
  ['securityfs', '/sys/kernel/security', 'securityfs'],
];

/** One open, one read, a close; what cannot be opened is passed over. */
function touch(sys: SyscallApi, path: string, length: number): void {
  const fd = sys.open(path, O_CLOEXEC);
  if (!fd.ok) return;
  sys.read(fd.value, length);
  sys.close(fd.value);
}

/** What /init does before the first operation. */
function guestInit(sys: SyscallApi): void {
  for (const [path, mode] of [
    ['/proc', 0o755],
    ['/sys', 0o755],
    ['/dev', 0o755],
    ['/mnt', 0o755],
    ['/tmp', 0o1777],
  ] as const) {
    sys.mkdir(path, mode);
  }
  for (const [source, target, type] of MOUNTS) sys.mount(source, target, type, [], '');
  sys.umask(0o022);
  const ratelimit = sys.open('/proc/sys/kernel/printk_ratelimit', O_WRONLY);
  if (ratelimit.ok) {
    sys.write(ratelimit.value, new Uint8Array([0x30]));
    sys.close(ratelimit.value);
  }
  touch(sys, '/proc/cmdline', 4095);
  sys.open('/dev/vdb', O_WRONLY | O_CLOEXEC);
  touch(sys, '/dev/vda', 64);
}

/** Process ids and serials are not the kernel's decision. */
function auditText(line: string): string {
  return line.replace(/\b(p?pid)=\d+/g, '$1=N');
}

/** The operations of one kernel's life, and the state they leave. */
function runStage(machine: MachineApi, ops: readonly OpInput[], auditFrom: number): Stage {
  const init = machine.sys(INIT_PID);
  guestInit(init);
  const session = new Session(machine);
  const results: OpResult[] = [];
  for (const op of ops) results.push(runOp(session, op));
  const state = finalState(init);
  const records = toArray(machine.audit.state.records, auditFrom);
  const audit = records.map((r, i) => auditText(auditLine(r, FIRST_SERIAL + auditFrom + i)));
  return { ops: results, final: { ...state, audit } };
}

/** kexec -e, then the second kernel's operations. */
function runSecondKernel(machine: MachineApi, c: RecordedCase): Stage | null {
  const before = machine.audit.state.records.length;
  const err = machine.kexecReboot === undefined ? 'ENOSYS' : machine.kexecReboot();
  if (err !== 0) return null;
  const now = machine.audit.state.records.length;
  return runStage(machine, c.stage2 ?? [], now < before ? 0 : before);
}

/** Runs a case from power-on to its last snapshot. A fault of ours gives a record that says so. */
export function runCase(env: RecordedEnvironment, c: RecordedCase, boot: BootMachine): CaseRecord {
  const head = { name: c.name, group: c.group };
  try {
    const machine = boot(machineConfigOf(env, c));
    const first = runStage(machine, c.ops, 0);
    if (c.kexec !== true) return { ...head, ...first };
    const second = runSecondKernel(machine, c);
    return second === null ? { ...head, ...first } : { ...head, ...first, stage2: second };
  } catch (e) {
    const internal = e instanceof Error ? (e.stack ?? e.message) : String(e);
    return { ...head, ops: [], final: {}, internal };
  }
}
