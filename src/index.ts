// kisim: a kernel-integrity simulator with a software TPM. This entry point has the machine and what is
// needed to configure it, drive it and read what it recorded; the rooms have entry points of their own.

export type { Diagnostic, LintReport, Severity } from './base/diagnostic.ts';
export { ERRNO, type Err, type Errno, type Failure, type Ok, type Result } from './base/errno.ts';
export type { Json } from './base/json.ts';
export { type AppendList, toArray } from './base/list.ts';
export { DEFAULT_CONFIG, type KernelProfile, type KernelSwitches, PROFILES } from './base/profile.ts';
export { allReasons, type Reason, reasonOf } from './base/reasons.ts';
export type { EventData, EventValue, TraceEvent, TraceState } from './base/trace.ts';
export type { HashName } from './crypto/provider.ts';
export { type AuditRecord, type AuditState, auditLine } from './integrity/audit.ts';
export type {
  DiskSpec,
  DmTable,
  ExecOutcome,
  ExecPhase,
  FileSpec,
  FirmwareEvent,
  FirmwareSpec,
  MachineApi,
  MachineConfig,
  MmapArgs,
  Pid,
  RawDiskSpec,
  SpawnOptions,
  SpecialSyscallApi,
  SyscallApi,
} from './kernel/api.ts';
export {
  type BootEvent,
  decodeEventLog,
  describeEvent,
  type EventLog,
  encodeEventLog,
  eventTypeName,
  replayEventLog,
} from './kernel/eventlog.ts';
export { type BootFacts, defaultFirmware } from './kernel/firmware.ts';
export { bzImage, kernelModule, type ProgramOptions, program } from './kernel/images.ts';
export { Machine } from './kernel/machine.ts';
export type { MachineState } from './kernel/rooms.ts';
export { TaskSyscalls } from './kernel/syscalls.ts';
export type { Stat } from './vfs/api.ts';
export type { Content, FsType, Xattr } from './vfs/types.ts';
