// A look at a machine from outside that leaves no trace in it: measurement list, registers, violations,
// audit records, trace. Two looks give what happened between them.

import { toHex } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { toArray } from '../base/list.ts';
import type { Trace, TraceEvent } from '../base/trace.ts';
import { iintFlagNames } from '../explain/iint-flags.ts';
import { activeRules } from '../ima/policy-match.ts';
import { showPolicy } from '../ima/policy-show.ts';
import { templateFields } from '../ima/template.ts';
import { asciiEntry } from '../ima/template-show.ts';
import type { ImaState, TemplateEntry } from '../ima/types.ts';
import type { Audit } from '../integrity/audit.ts';
import type { MachineApi, Pid } from '../kernel/api.ts';
import type { PowerState } from '../kernel/power.machine.ts';
import type { Task } from '../kernel/state.ts';
import { hashName } from '../tpm/algorithms.ts';
import type { PcrBank, TpmState } from '../tpm/state.ts';
import type { VfsApi } from '../vfs/api.ts';
import type { Effects, ListEntry, PcrChange } from './result.ts';
import type { TpmPort } from './tpm-client.ts';

/** The cursors of a machine that a scenario run looks at. */
export interface ScenarioMachine extends MachineApi {
  readonly trace: Trace;
  readonly clock: Clock;
  readonly audit: Audit;
  readonly vfs: VfsApi;
  readonly tpm: (TpmPort & { readonly state: TpmState }) | null;
  readonly ima: { readonly state: ImaState };
  readonly kernel: {
    readonly state: {
      readonly panic: string | null;
      readonly power: PowerState;
      /** How many kernels ran so far: another one begins a list of its own. */
      readonly boots: number;
    };
    task(pid: Pid): Task | undefined;
  };
  fork(): ScenarioMachine;
}

/** State that effects are the difference of; all of it is shared with the machine, nothing is copied. */
export interface Look {
  readonly list: number;
  readonly violations: number;
  readonly audit: number;
  readonly events: number;
  readonly pcr: readonly PcrBank[];
  readonly timeUs: number;
  readonly boots: number;
}

export const NOTHING_SEEN: Look = {
  list: 0,
  violations: 0,
  audit: 0,
  events: 0,
  pcr: [],
  timeUs: 0,
  boots: 0,
};

export function look(machine: ScenarioMachine): Look {
  return {
    list: machine.ima.state.list.length,
    violations: machine.ima.state.violations,
    audit: machine.audit.state.records.length,
    events: machine.trace.state.events.length,
    pcr: machine.tpm?.state.pcr ?? [],
    timeUs: machine.clock.state.uptimeUs,
    boots: machine.kernel.state.boots,
  };
}

const NAME_FIELDS: readonly string[] = ['n-ng', 'n'];
const DIGEST_FIELDS: readonly string[] = ['d-ngv2', 'd-ng', 'd'];

/** An entry as text. */
export function listEntry(entry: TemplateEntry, index: number, sha1Slot: number): ListEntry {
  const line = asciiEntry(entry, sha1Slot).slice(0, -1);
  const words = line.trimStart().split(' ');
  const ids = templateFields(entry.template);
  const fields: Record<string, string> = Object.fromEntries(ids.map((id, i) => [id, words[i + 3] ?? '']));
  const first = (candidates: readonly string[]): string =>
    candidates.map((id) => fields[id]).find((v) => v !== undefined) ?? '';
  return {
    index,
    pcr: entry.pcr,
    template: words[2] ?? '',
    templateDigest: words[1] ?? '',
    digest: first(DIGEST_FIELDS),
    name: first(NAME_FIELDS),
    violation: entry.digests.every((d) => d.every((b) => b === 0)),
    fields,
    line,
  };
}

/** Entries of the measurement list from an index on. */
export function listEntries(machine: ScenarioMachine, from: number): readonly ListEntry[] {
  const { list, sha1Idx } = machine.ima.state;
  return toArray(list, from).map((entry, i) => listEntry(entry, from + i, sha1Idx));
}

function bankName(bank: PcrBank): string {
  return hashName(bank.alg);
}

function pcrChanges(before: readonly PcrBank[], after: readonly PcrBank[]): readonly PcrChange[] {
  if (before === after) return [];
  return after.flatMap((bank) => {
    const old = before.find((b) => b.alg === bank.alg);
    if (old === bank) return [];
    return bank.pcrs.flatMap((value, pcr): readonly PcrChange[] => {
      const was = old?.pcrs[pcr] ?? null;
      if (value === was || value === null) return [];
      const [b, a] = [was === null ? '' : toHex(was), toHex(value)];
      return a === b ? [] : [{ bank: bankName(bank), pcr, before: b, after: a }];
    });
  });
}

/** What happened since a look. */
export function effectsSince(machine: ScenarioMachine, before: Look): Effects {
  const now = look(machine);
  // Another kernel has another list and counts from zero.
  const { list, violations } = now.boots === before.boots ? before : NOTHING_SEEN;
  return {
    entries: listEntries(machine, list),
    pcrs: pcrChanges(before.pcr, now.pcr),
    violations: Math.max(0, now.violations - violations),
    audit: toArray(machine.audit.state.records, now.audit < before.audit ? 0 : before.audit),
    events: [before.events, now.events],
  };
}

export function banksOf(machine: ScenarioMachine): readonly string[] {
  return (machine.tpm?.state.pcr ?? []).map(bankName);
}

/** Value of a register in hex; undefined where there is no such bank or register. */
export function pcrValue(machine: ScenarioMachine, bank: string, pcr: number): string | undefined {
  const value = machine.tpm?.state.pcr.find((b) => bankName(b) === bank)?.pcrs[pcr];
  return value === null || value === undefined ? undefined : toHex(value);
}

/** The active IMA policy, one rule a line, as securityfs shows it. */
export function policyText(machine: ScenarioMachine): string {
  return showPolicy(activeRules(machine.ima.state.policy));
}

/** Flags of the IMA record of a file; null when it has none, undefined when there is no such file. */
export function iintFlags(machine: ScenarioMachine, path: string): readonly string[] | null | undefined {
  const fork = machine.fork();
  const task = fork.kernel.task(1);
  if (task === undefined) return undefined;
  const found = fork.vfs.lookup(task, path, { follow: true });
  if (!found.ok) return undefined;
  const iint = machine.ima.state.iint.get(fork.vfs.inodeOf(found.value).key);
  return iint === undefined ? null : iintFlagNames(iint);
}

export function eventsOf(machine: ScenarioMachine, effects: Effects): readonly TraceEvent[] {
  const [from, to] = effects.events;
  return toArray(machine.trace.state.events, from).slice(0, to - from);
}
