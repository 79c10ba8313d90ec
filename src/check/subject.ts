// What is checked: a scenario whose steps are what the machine does at each start, with the promises that
// its `check` part names. From the files that are there before the first step follows which contents are
// good: those that carry a label or a signature of the owner, lie on a verified disk or in the initramfs.

import { toHex } from '../base/bytes.ts';
import type { Diagnostic } from '../base/diagnostic.ts';
import type { FileSpec } from '../kernel/api.ts';
import { Machine } from '../kernel/machine.ts';
import type { DataContext } from '../scenario/data.ts';
import { makeKeys } from '../scenario/keys.ts';
import { type CheckPart, type LoadOptions, loadScenario, type Scenario } from '../scenario/loader.ts';
import type { DataForm, KeyForm } from '../scenario/schema-data.ts';
import { Session } from '../scenario/session.ts';
import { NO_MEMORY } from '../scenario/steps/types.ts';
import { startUserSpace } from '../scenario/userland.ts';
import type { Content, Inode } from '../vfs/types.ts';
import type { StepForm } from './action.ts';
import { type ContentName, contentName, hasModsig } from './contents.ts';
import { type Moment, StepReader, steps, type Transition } from './node.ts';
import { treeOf } from './view.ts';

/** Name of the key that attackers have, and nobody trusts. */
export const INTRUDER_KEY = 'intruder';

export interface SubjectDocument {
  readonly title: string;
  readonly keys?: { readonly [name: string]: KeyForm };
  readonly machine?: { readonly [member: string]: unknown };
  readonly steps: readonly StepForm[];
  readonly check?: {
    readonly workload?: readonly { readonly name: string; readonly steps: readonly StepForm[] }[];
  };
  readonly [member: string]: unknown;
}

/** Owner, mode and labels that a file was installed with. */
export interface Installed {
  readonly path: string;
  readonly inode: Inode;
}

export interface Subject {
  readonly scenario: Scenario;
  readonly check: CheckPart;
  /** The document as it was written. */
  readonly document: SubjectDocument;
  readonly data: DataContext;
  readonly reader: StepReader;
  /** The machine after its own steps. */
  readonly start: Moment;
  /** What its own steps did, one transition each. */
  readonly setup: readonly Transition[];
  /** Tasks that must work, as the document writes them. */
  readonly workload: readonly { readonly name: string; readonly steps: readonly StepForm[] }[];
  /** Steps that the machine takes by itself: at its start, and for its tasks. */
  readonly duties: ReadonlySet<StepForm>;
  /** Contents that the owner vouches for. */
  readonly trusted: ReadonlySet<ContentName>;
  readonly outdated: ReadonlySet<ContentName>;
  /** Good contents with how they were installed. */
  readonly installed: ReadonlyMap<ContentName, readonly Installed[]>;
  formOf(content: Content): DataForm;
}

export type SubjectResult =
  | { readonly ok: true; readonly subject: Subject; readonly diagnostics: readonly Diagnostic[] }
  | { readonly ok: false; readonly text: string; readonly diagnostics: readonly Diagnostic[] };

const EMPTY_CHECK: CheckPart = { workload: [] };

const labelled = (spec: FileSpec): boolean =>
  spec.xattrs?.some((x) => x.name === 'security.ima' && x.value.length > 1) === true;

interface Trust {
  readonly trusted: Set<ContentName>;
  readonly outdated: Set<ContentName>;
}

/** What the files before the first step say about contents. */
function trustOf(scenario: Scenario): Set<ContentName> {
  const trusted = new Set<ContentName>();
  const { disks = [], initramfs = {} } = scenario.machine;
  const specs = disks.flatMap((disk) => Object.values(disk.files).map((spec) => ({ disk, spec })));
  const add = (spec: FileSpec): void => {
    if (spec.content !== undefined) trusted.add(contentName(spec.content));
  };
  for (const spec of Object.values(initramfs)) add(spec);
  const vouched = specs.filter(({ disk, spec }) => {
    const signed = spec.content !== undefined && hasModsig(spec.content);
    return disk.verity !== undefined || labelled(spec) || signed;
  });
  // Where nothing is labelled, as under a policy that only measures, all that was installed counts.
  for (const { spec } of vouched.length === 0 ? specs : vouched) add(spec);
  return trusted;
}

/** Contents by path, after the machine's own steps or as they lie on a disk. */
function namesAt(paths: readonly string[], scenario: Scenario, start: Moment): readonly ContentName[] {
  const { files } = treeOf(start.machine);
  return paths.flatMap((path) => {
    const found = files.find((f) => f.path === path);
    if (found !== undefined) return [contentName(found.content)];
    return (scenario.machine.disks ?? []).flatMap(({ files: specs }) => {
      const content = specs[path]?.content;
      return content === undefined ? [] : [contentName(content)];
    });
  });
}

function judge(scenario: Scenario, check: CheckPart, start: Moment): Trust {
  const trusted = trustOf(scenario);
  for (const { content } of treeOf(start.machine).files.filter((f) => f.type === 'rootfs'))
    trusted.add(contentName(content));
  for (const name of namesAt(check.trusted ?? [], scenario, start)) trusted.add(name);
  for (const name of namesAt(check.strangers ?? [], scenario, start)) trusted.delete(name);
  return { trusted, outdated: new Set(namesAt(check.outdated ?? [], scenario, start)) };
}

interface FileDocument {
  readonly content?: DataForm;
}

/** How the document writes each content: by the name of the content. */
function formsOf(document: SubjectDocument, scenario: Scenario): Map<ContentName, DataForm> {
  const forms = new Map<ContentName, DataForm>();
  const machine = (document.machine ?? {}) as {
    readonly disks?: readonly { readonly files?: { readonly [path: string]: FileDocument } }[];
    readonly initramfs?: { readonly [path: string]: FileDocument };
  };
  const note = (files: { readonly [path: string]: FileDocument } | undefined, specs: Specs): void => {
    for (const [path, { content: form }] of Object.entries(files ?? {})) {
      const content = specs[path]?.content;
      if (form !== undefined && content !== undefined) forms.set(contentName(content), form);
    }
  };
  const withFiles = (machine.disks ?? []).filter((d) => d.files !== undefined);
  for (const [i, disk] of withFiles.entries())
    note(disk.files, (scenario.machine.disks ?? [])[i]?.files ?? {});
  note(machine.initramfs, scenario.machine.initramfs ?? {});
  return forms;
}

type Specs = { readonly [path: string]: FileSpec };

function withIntruder(document: SubjectDocument, scenario: Scenario): DataContext {
  const seed = String(document.machine?.['seed'] ?? document.title);
  const made = makeKeys({ ...document.keys, [INTRUDER_KEY]: {} }, seed);
  return made.ok ? { ...scenario.data, keys: made.keys } : scenario.data;
}

function installedOf(start: Moment, trusted: ReadonlySet<ContentName>): Map<ContentName, Installed[]> {
  const out = new Map<ContentName, Installed[]>();
  for (const { path, inode, content } of treeOf(start.machine).files) {
    const name = contentName(content);
    if (trusted.has(name)) out.set(name, [...(out.get(name) ?? []), { path, inode }]);
  }
  return out;
}

/** Boots the machine of a scenario and takes it through its own steps. */
export function subjectOf(scenario: Scenario): Subject {
  const document = scenario.source.value as SubjectDocument;
  const check = scenario.check ?? EMPTY_CHECK;
  const data = withIntruder(document, scenario);
  const reader = new StepReader(scenario.source, data);
  const machine = Machine.bootOnce(scenario.machine);
  startUserSpace(machine);
  const session = new Session(machine, { opTimeUs: 1000 });
  const booted: Moment = { machine: machine.state, session: session.state, memory: NO_MEMORY };
  const setup = [...steps(booted, document.steps, reader)];
  const start = setup.at(-1)?.after ?? booted;
  const { trusted, outdated } = judge(scenario, check, start);
  const forms = formsOf(document, scenario);
  const workload = document.check?.workload ?? [];
  return {
    scenario,
    check,
    document,
    data,
    reader,
    start,
    setup,
    workload,
    duties: new Set([...document.steps, ...workload.flatMap((t) => t.steps)]),
    trusted,
    outdated,
    installed: installedOf(start, trusted),
    formOf: (content) => {
      const known = forms.get(contentName(content));
      if (known !== undefined) return known;
      if (content.kind === 'bytes') return { hex: toHex(content.bytes) };
      return { opaque: content.label, len: content.length, digests: { ...content.digests } };
    },
  };
}

/** A subject from the text of a scenario; mistakes of the text are diagnostics. */
export function loadSubject(file: string, text: string, options: LoadOptions = {}): SubjectResult {
  const loaded = loadScenario(file, text, options);
  if (!loaded.ok) return loaded;
  return { ok: true, subject: subjectOf(loaded.scenario), diagnostics: loaded.diagnostics };
}

/** Whether a step of the machine itself came out as the document says it must. */
export function asExpected({ form, result }: Transition): boolean {
  const expect = (form['expect'] ?? {}) as { readonly err?: string };
  return result.err === (expect.err ?? 'OK') && typeof result['signal'] !== 'number';
}
