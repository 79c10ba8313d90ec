// `kisim gaps`: each way of data into the kernel is gone twice on a machine with the given policies, with a
// sample that nobody vouched for and with a signed one. What IMA, IPE and the kernel itself said of the two
// makes the cell. Each run is a scenario, so every cell can be replayed and explained.

import { stringify } from 'yaml';
import { assert } from '../../base/assert.ts';
import { fromLatin1 } from '../../base/bytes.ts';
import type { Diagnostic } from '../../base/diagnostic.ts';
import type { TraceEvent } from '../../base/trace.ts';
import { reasonSentence } from '../../explain/tree.ts';
import type { MachineConfig } from '../../kernel/api.ts';
import { decodeEventLog } from '../../kernel/eventlog.ts';
import { type LoadOptions, loadScenario } from '../../scenario/loader.ts';
import { eventsOf, policyText, type ScenarioMachine } from '../../scenario/observe.ts';
import type { StepReport } from '../../scenario/result.ts';
import { ScenarioRun } from '../../scenario/runner.ts';
import { type BootProbe, DATA_PATHS, type DataPath, type Probe, type Sample } from './paths.ts';

/** A machine that shows the log of its firmware. */
export interface GapsMachine extends ScenarioMachine {
  eventLog(): Uint8Array;
}

/** What the machine is asked about. */
export interface GapsOptions {
  /** Rules for IMA's policy node. */
  readonly ima?: string;
  /** Text of an IPE policy; it is signed and made active. */
  readonly ipe?: string;
  readonly cmdline?: string;
  readonly boot: (config: MachineConfig) => GapsMachine;
  readonly load?: LoadOptions;
}

export const MARKS = ['measured', 'appraised', 'enforced', 'nothing'] as const;
/** `appraised`: IMA refuses the bare sample; `enforced`: IPE or the kernel's own check does. */
export type Mark = (typeof MARKS)[number];

export interface Outcome {
  readonly err: string;
  /** Who refused, if somebody did. */
  readonly by: 'IMA' | 'IPE' | 'kernel' | null;
  readonly reason: string;
  /** False where something that comes before it was refused. */
  readonly reached: boolean;
  readonly measured: string | null;
}

export interface Cell {
  readonly path: string;
  readonly form: 'file' | 'buffer';
  readonly interface: string | null;
  readonly marks: readonly Mark[];
  /** One sentence for each mark, or why there is none. */
  readonly reasons: readonly string[];
  readonly bare: Outcome | null;
  readonly signed: Outcome | null;
  /** The two scenarios, as text. */
  readonly scenarios: { readonly [S in Sample]?: string };
}

export interface GapsRow {
  readonly path: DataPath;
  readonly file: Cell;
  readonly buffer: Cell;
}

export type GapsResult =
  | { readonly ok: true; readonly rows: readonly GapsRow[] }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[]; readonly text: string };

const NODE = '/sys/kernel/security';
/** Every sample on its disk: `/bare/...` has nothing, `/signed/...` a label and an appended signature. */
function samples(): object {
  const contents: Record<string, (s: Sample) => unknown> = {
    module: (s) => ({ module: `${s}_module` }),
    kernel: (s) => ({ kernel_image: s }),
    initrd: (s) => `initrd ${s}`,
    firmware: (s) => `firmware ${s}`,
    policy: () => 'audit func=FILE_CHECK uid=4242\n',
  };
  const files: Record<string, unknown> = {};
  for (const [name, content] of Object.entries(contents)) {
    files[`/bare/${name}`] = { content: content('bare') };
    const plain = content('signed');
    // An appended signature would change what a policy or an initial ram disk is.
    const appended = name === 'module' || name === 'kernel';
    files[`/signed/${name}`] = {
      content: appended ? { modsig: 'vendor', of: plain } : plain,
      xattrs: { 'security.ima': { ima_sig: 'vendor' } },
    };
  }
  return files;
}

function activate(text: string): object[] {
  const name = /^\s*policy_name=(\S+)/m.exec(text)?.[1] ?? 'policy';
  return [
    { op: 'syswrite', path: `${NODE}/ipe/new_policy`, data: { cms: 'vendor', of: text } },
    { op: 'syswrite', path: `${NODE}/ipe/policies/${name}/active`, data: '1' },
  ];
}

/** The document of one run; its last step goes the way. */
function document(path: DataPath, probe: Probe | BootProbe, sample: Sample, options: GapsOptions): string {
  const cmdline = ['firmware_class.path=/mnt', options.cmdline ?? ''].join(' ').trim();
  const steps = [
    { op: 'mount', src: '/dev/vdc', target: '/mnt', type: 'ext4' },
    { op: 'add_key', type: 'asymmetric', desc: '', data: { cert: 'vendor' }, ring: '%.ima' },
    ...(options.ipe === undefined ? [] : activate(options.ipe)),
    ...(options.ima === undefined ? [] : [{ op: 'policy_row', data: options.ima }]),
    ...('step' in probe ? [{ id: 'way', ...probe.step(sample) }] : []),
  ];
  const title = `${path.title} by ${probe.interface}, ${sample === 'bare' ? 'unsigned' : 'signed'}`;
  const keys = {
    root: { ca: true },
    vendor: { issuer: 'root' },
    second: { issuer: 'root' },
    stranger: {},
  };
  const machine = {
    cmdline,
    ...(path.config === undefined ? {} : { config: path.config }),
    trusted_keys: { builtin: [{ cert: 'root' }, { cert: 'vendor' }] },
    disks: [{ name: 'vdc', files: samples() }],
    ...('step' in probe ? {} : probe.machine?.(sample)),
  };
  return stringify({ title, kind: 'regression', keys, machine, steps }, { lineWidth: 0 });
}

/** Events that hang below an event of which `is` holds, with it. */
function below(events: readonly TraceEvent[], is: (e: TraceEvent) => boolean): readonly TraceEvent[] {
  const inside = new Set<number>();
  return events.filter((e) => {
    const yes = is(e) || (e.cause !== null && inside.has(e.cause));
    if (yes) inside.add(e.id);
    return yes;
  });
}

const IMA_KINDS = new Set(['ima.check', 'ima.buffer']);

/** The rule that had IMA measure, as the policy shows it. */
function ruleText(event: TraceEvent, rules: readonly string[]): string | null {
  const numbers = event.data['rules'];
  const tried = Array.isArray(numbers) ? numbers.flatMap((n) => rules[Number(n)] ?? []) : [];
  return tried.findLast((rule) => rule.startsWith('measure')) ?? null;
}

function measuredBy(probe: Probe, events: readonly TraceEvent[], rules: readonly string[]): string | null {
  const asked = (e: TraceEvent): boolean =>
    IMA_KINDS.has(e.kind) && probe.funcs.includes(String(e.data['func'] ?? ''));
  for (const event of events.filter(asked)) {
    const stored = below(events, (e) => e === event).find((e) => e.kind === 'ima.store');
    if (stored === undefined) continue;
    const rule = ruleText(event, rules);
    return `${event.data['func']}${rule === null ? '' : `: ${rule}`}`;
  }
  return null;
}

/** Kinds of events that can be a refusal, and whose it is. */
const REFUSES: { readonly [kind: string]: NonNullable<Outcome['by']> } = {
  'ipe.evaluate': 'IPE',
  'ima.verdict': 'IMA',
  'ima.load': 'IMA',
  'ima.policy_write': 'IMA',
  'kernel.refused': 'kernel',
  'keys.refused': 'kernel',
};

function refuses(e: TraceEvent): boolean {
  if (e.reason === undefined || REFUSES[e.kind] === undefined) return false;
  if (e.kind === 'ipe.evaluate') return e.reason === 'ipe.denied';
  return e.kind !== 'ima.verdict' || e.data['errno'] !== 0;
}

/** Whether IMA or IPE were asked about what this way is for, and not about something that comes before it. */
function aboutIt(probe: Probe, event: TraceEvent, events: readonly TraceEvent[]): boolean {
  if (event.kind === 'ipe.evaluate') return probe.ops?.includes(String(event.data['op'])) ?? false;
  if (event.kind !== 'ima.verdict') return true;
  const check = events.find((e) => e.id === event.cause);
  return probe.funcs.includes(String(check?.data['func'] ?? ''));
}

function refusal(
  probe: Probe,
  err: string,
  events: readonly TraceEvent[],
): Pick<Outcome, 'by' | 'reason' | 'reached'> {
  if (err === 'OK') return { by: null, reason: '', reached: true };
  const event = events.find(refuses);
  if (event === undefined) return { by: 'kernel', reason: `the kernel answers ${err}`, reached: true };
  const reason = reasonSentence(event) ?? '';
  return { by: REFUSES[event.kind] ?? 'kernel', reason, reached: aboutIt(probe, event, events) };
}

/** What was said to a sample that went in. */
function passed(probe: Probe, events: readonly TraceEvent[]): string {
  const said = events.filter(
    (e) =>
      e.kind === 'kernel.buffer_taken' ||
      (e.kind === 'ipe.evaluate' && (probe.ops?.includes(String(e.data['op'])) ?? false)) ||
      (IMA_KINDS.has(e.kind) && probe.funcs.includes(String(e.data['func'] ?? ''))),
  );
  const sentences = said.flatMap((e) => {
    const sentence = reasonSentence(e);
    const about = e.data['func'] ?? e.data['op'];
    return sentence === undefined ? [] : [about === undefined ? sentence : `${about}: ${sentence}`];
  });
  return [...new Set(sentences)].join('; ') || 'neither IMA nor IPE is asked';
}

function outcomeOf(probe: Probe, report: StepReport, machine: ScenarioMachine): Outcome {
  const events = eventsOf(machine, report.effects);
  const rules = policyText(machine)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const loading = report.result['loading'];
  const err = typeof loading === 'string' ? loading : report.result.err;
  const refused = refusal(probe, err, events);
  const reason = refused.by === null ? passed(probe, events) : refused.reason;
  return { err, ...refused, reason, measured: measuredBy(probe, events, rules) };
}

/** What a boot did with the sample: the list, the firmware's log, and refused keys. */
function bootOutcome(probe: BootProbe, run: ScenarioRun<GapsMachine>): Outcome {
  const { machine, boot } = run;
  const refused = eventsOf(machine, boot).find(
    (e) => e.kind === 'keys.refused' && probe.listName !== undefined,
  );
  const entry = boot.entries.find((e) => e.name === probe.listName);
  const logged = decodeEventLog(machine.eventLog()).events.find(
    (e) => probe.logged !== undefined && fromLatin1(e.event).includes(probe.logged),
  );
  const measured =
    entry !== undefined
      ? 'FILE_CHECK, by a rule that the kernel has at boot'
      : logged !== undefined
        ? `an event of PCR ${logged.pcr} in the firmware's event log`
        : null;
  const err = refused === undefined ? 'OK' : String(refused.data['errno']);
  const reason =
    refused === undefined ? 'it comes before user space can load a policy' : (reasonSentence(refused) ?? err);
  return { err, by: refused === undefined ? null : 'kernel', reason, reached: true, measured };
}

class Unloadable extends Error {
  readonly diagnostics: readonly Diagnostic[];
  readonly text: string;

  constructor(diagnostics: readonly Diagnostic[], text: string) {
    super('the policy cannot be loaded');
    this.diagnostics = diagnostics;
    this.text = text;
  }
}

function goOnce(text: string, probe: Probe | BootProbe, options: GapsOptions): Outcome {
  const loaded = loadScenario('<gaps>', text, options.load ?? {});
  if (!loaded.ok) throw new Unloadable(loaded.diagnostics, text);
  const run = new ScenarioRun(loaded.scenario, options.boot);
  if (!('step' in probe)) return bootOutcome(probe, run);
  let last: StepReport | undefined;
  while (run.steps.length < loaded.scenario.steps.length) last = run.step();
  assert(last !== undefined, 'the way was gone');
  return outcomeOf(probe, last, run.machine);
}

function marksOf(bare: Outcome, signed: Outcome): { marks: readonly Mark[]; reasons: readonly string[] } {
  const marks: Mark[] = [];
  const reasons: string[] = [];
  const measured = bare.measured ?? signed.measured;
  if (measured !== null) {
    marks.push('measured');
    reasons.push(`measured as ${measured}`);
  }
  if (bare.by !== null && bare.reached) {
    marks.push(bare.by === 'IMA' ? 'appraised' : 'enforced');
    const signature = signed.by === null ? 'a signed one passes' : 'a signed one too';
    reasons.push(`${bare.by} refuses it with ${bare.err}: ${bare.reason}; ${signature}`);
  }
  if (marks.length === 0) {
    marks.push('nothing');
    reasons.push(
      bare.reached ? bare.reason : `never reached: ${bare.by} refuses what comes before it (${bare.reason})`,
    );
  }
  return { marks, reasons };
}

function cellOf(path: DataPath, form: 'file' | 'buffer', options: GapsOptions): Cell {
  const probe = path[form];
  const common = { path: path.id, form };
  if (typeof probe === 'string')
    return {
      ...common,
      interface: null,
      marks: [],
      reasons: [probe],
      bare: null,
      signed: null,
      scenarios: {},
    };
  const scenarios = {
    bare: document(path, probe, 'bare', options),
    signed: document(path, probe, 'signed', options),
  };
  const bare = goOnce(scenarios.bare, probe, options);
  const signed = goOnce(scenarios.signed, probe, options);
  return { ...common, interface: probe.interface, ...marksOf(bare, signed), bare, signed, scenarios };
}

/** Goes every way; mistakes in the policies come back with the scenario that holds them. */
export function findGaps(options: GapsOptions): GapsResult {
  try {
    const rows = DATA_PATHS.map((path) => ({
      path,
      file: cellOf(path, 'file', options),
      buffer: cellOf(path, 'buffer', options),
    }));
    return { ok: true, rows };
  } catch (e) {
    if (!(e instanceof Unloadable)) throw e;
    return { ok: false, diagnostics: e.diagnostics, text: e.text };
  }
}
