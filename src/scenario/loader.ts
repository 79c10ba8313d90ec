// Text of a scenario to a checked value: all mistakes of the text, the schema, the machine, the steps and
// the policies in it are reported together, each with its place. A scenario is loaded whole or not at all.

import { type Diagnostic, didYouMean, sortDiagnostics } from '../base/diagnostic.ts';
import { allReasons, reasonOf } from '../base/reasons.ts';
import { IINT_FLAG_NAMES } from '../explain/iint-flags.ts';
import type { MachineConfig } from '../kernel/api.ts';
import { Builder, bootChange, machineConfig } from './build.ts';
import { type DataContext, operationData, type ReadFile } from './data.ts';
import { issueDiagnostics, knownKeys } from './issues.ts';
import { bootPolicyDiagnostics, policyDiagnostics } from './policies.ts';
import { type ActorForm, type BootForm, headSchema, type ScenarioHead } from './schema.ts';
import type { CheckForm } from './schema-check.ts';
import { type DataForm, keysSchema } from './schema-data.ts';
import type { CommonExpectation, FinalExpectation, StepExpectation } from './schema-expect.ts';
import type { OpInput } from './session.ts';
import { type PathStep, parseSource, type Source } from './source.ts';
import { type StepWord, stepWord, stepWords } from './vocabulary.ts';

/** One step, ready to run. */
export interface ScenarioStep {
  /** From 1, as people count. */
  readonly number: number;
  readonly id: string | null;
  /** Operation with resolved arguments; `uid`, `euid`, `gid`, `actor` come from `as`. */
  readonly op: OpInput;
  readonly expect: StepExpectation;
  readonly note: string | null;
  /** Line of the file where the step begins. */
  readonly line: number;
}

/** Something that the machine of a check must still do. */
export interface WorkloadTask {
  readonly name: string;
  readonly steps: readonly ScenarioStep[];
}

/** The part of a scenario that `kisim check` reads. */
export type CheckPart = Omit<CheckForm, 'workload'> & { readonly workload: readonly WorkloadTask[] };

export interface Scenario {
  /** Name of the file it was read from. */
  readonly file: string;
  readonly title: string;
  readonly about: string | null;
  readonly kind: ScenarioHead['kind'];
  readonly reference: NonNullable<ScenarioHead['reference']> | null;
  readonly machine: MachineConfig;
  readonly steps: readonly ScenarioStep[];
  readonly expect: FinalExpectation;
  /** What must hold whatever somebody does; null where the scenario only tells a story. */
  readonly check: CheckPart | null;
  readonly source: Source;
  /** Files and keys that expectations refer to. */
  readonly data: DataContext;
}

export interface LoadOptions {
  /** Reads a file whose path is relative to the scenario; without it every `file:` is a mistake. */
  readonly readFile?: ReadFile;
  /** Names of the files beside the scenario, for hints. */
  readonly siblings?: readonly string[];
}

export type LoadResult =
  | { readonly ok: true; readonly scenario: Scenario; readonly diagnostics: readonly Diagnostic[] }
  | { readonly ok: false; readonly text: string; readonly diagnostics: readonly Diagnostic[] };

class Loader {
  readonly source: Source;
  readonly builder: Builder;
  readonly diagnostics: Diagnostic[] = [];

  constructor(source: Source, options: LoadOptions) {
    this.source = source;
    this.builder = new Builder(source, options.readFile ?? (() => undefined), options.siblings);
  }

  #report(path: readonly PathStep[], code: string, message: string, help: string | null): void {
    this.diagnostics.push(this.source.diagnostic(this.source.span(path), code, message, help));
  }

  /** Keys come first: every form may name one. */
  keys(): void {
    const raw = (this.source.value as { readonly keys?: unknown } | null)?.keys;
    if (raw === undefined) return;
    const parsed = keysSchema.safeParse(raw);
    if (!parsed.success) {
      this.builder.context = { ...this.builder.context, keys: null };
      return;
    }
    const { title, machine } = this.source.value as {
      readonly title?: unknown;
      readonly machine?: { readonly seed?: unknown } | null;
    };
    this.builder.keys(parsed.data, String(machine?.seed ?? title));
  }

  head(): ScenarioHead | undefined {
    const parsed = headSchema.safeParse(this.source.value);
    if (parsed.success) return parsed.data;
    const known = (path: readonly PathStep[]): readonly string[] => knownKeys(headSchema, path);
    this.diagnostics.push(...issueDiagnostics(this.source, [], parsed.error.issues, known));
    return undefined;
  }

  /** The word a step begins with, or a diagnostic that names the words near it. */
  #word(value: unknown, path: readonly PathStep[]): StepWord | undefined {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      const help = 'a step is a map, such as `{ op: read, path: /mnt/a }`';
      this.#report(path, 'scenario.step', 'this is no step', help);
      return undefined;
    }
    const op = (value as Record<string, unknown>)['op'];
    if (op === undefined) {
      const guess = Object.keys(value).find((k) => stepWord(k) !== undefined);
      const help = guess === undefined ? 'say what happens: `op: read`' : `write \`op: ${guess}\``;
      this.#report(path, 'scenario.missing', '`op` is missing', help);
      return undefined;
    }
    const word = typeof op === 'string' ? stepWord(op) : undefined;
    if (word !== undefined) return word;
    const names = stepWords().map((w) => w.name);
    const near = typeof op === 'string' ? didYouMean(op, names) : undefined;
    const help = near ?? `operations: ${names.join(', ')}`;
    this.#report([...path, 'op'], 'scenario.unknown_op', `unknown operation \`${String(op)}\``, help);
    return undefined;
  }

  step(value: unknown, index: number, at: readonly PathStep[] = ['steps']): ScenarioStep | undefined {
    const path: readonly PathStep[] = [...at, index];
    const word = this.#word(value, path);
    if (word === undefined) return undefined;
    const parsed = word.schema.safeParse(value);
    if (!parsed.success) {
      const known = (at: readonly PathStep[]): readonly string[] =>
        knownKeys(word.schema, at.slice(path.length));
      this.diagnostics.push(...issueDiagnostics(this.source, path, parsed.error.issues, known));
      return undefined;
    }
    const { id, as, expect, note, ...rest } = parsed.data as {
      readonly op: string;
      readonly id?: string;
      readonly as?: ActorForm;
      readonly expect?: StepExpectation;
      readonly note?: string;
      readonly [argument: string]: unknown;
    };
    const resolved: Record<string, unknown> = { ...rest };
    for (const name of word.dataArguments) {
      const form = rest[name] as DataForm | readonly DataForm[] | undefined;
      if (form !== undefined) resolved[name] = this.#data(form, [...path, name]);
    }
    for (const name of word.bootArguments) {
      const form = rest[name] as BootForm | undefined;
      if (form !== undefined) resolved[name] = bootChange(this.builder, form, [...path, name]);
    }
    return {
      number: index + 1,
      id: id ?? null,
      op: { ...resolved, ...as, op: word.name },
      expect: expect ?? {},
      note: note ?? null,
      line: this.source.lines.position(this.source.span(path)[0]).line,
    };
  }

  /** A story needs a step; what is only checked may have none. */
  empty(): void {
    this.#report(['steps'], 'scenario.missing', 'there is no step', 'add one, or a `check` part');
  }

  /** Steps of a list in the text; mistakes are reported. */
  steps(forms: readonly unknown[], at: readonly PathStep[]): readonly ScenarioStep[] {
    const found = forms.map((value, i) => this.step(value, i, at)).filter((s) => s !== undefined);
    for (const s of found) this.expectation(s.expect, [...at, s.number - 1, 'expect']);
    return found;
  }

  check(form: CheckForm): CheckPart {
    const tasks = (form.workload ?? []).map(({ name, steps }, i) => ({
      name,
      steps: this.steps(steps, ['check', 'workload', i, 'steps']),
    }));
    for (const list of ['never', 'always'] as const)
      for (const [i, { expect }] of (form[list] ?? []).entries())
        this.expectation(expect, ['check', list, i, 'expect']);
    return { ...form, workload: tasks };
  }

  #data(form: DataForm | readonly DataForm[], path: readonly PathStep[]): unknown {
    if (Array.isArray(form)) return form.map((f: DataForm, i) => this.#data(f, [...path, i]));
    const single = form as DataForm;
    return operationData(single, this.builder.content(single, path));
  }

  /** Mistakes in expectations that only the whole project can see. */
  expectation(expect: CommonExpectation, path: readonly PathStep[]): void {
    for (const member of ['reasons', 'no_reasons'] as const) {
      for (const [i, code] of (expect[member] ?? []).entries()) this.#reason(code, [...path, member, i]);
    }
    const { attest } = expect as StepExpectation;
    for (const member of ['fails', 'warns', 'notes'] as const) {
      for (const [i, code] of (attest?.[member] ?? []).entries())
        this.#reason(code, [...path, 'attest', member, i]);
    }
    for (const [file, flags] of Object.entries(expect.iint ?? {})) {
      for (const [i, flag] of flags.entries()) this.#flag(flag.replace('!', ''), [...path, 'iint', file, i]);
    }
    for (const key of Object.keys(expect.pcr ?? {})) {
      const number = Number(key.split(':').at(-1));
      const bank = key.includes(':') ? key.split(':')[0] : undefined;
      if (number > 23) this.#report([...path, 'pcr', key], 'scenario.pcr', `there is no PCR ${number}`, null);
      const banks = ['sha1', 'sha256', 'sha384', 'sha512'];
      if (bank !== undefined && !banks.includes(bank))
        this.#report(
          [...path, 'pcr', key],
          'scenario.pcr',
          `unknown bank \`${bank}\``,
          didYouMean(bank, banks) ?? null,
        );
    }
  }

  #flag(name: string, path: readonly PathStep[]): void {
    if (IINT_FLAG_NAMES.includes(name)) return;
    const help = didYouMean(name, IINT_FLAG_NAMES) ?? `flags: ${IINT_FLAG_NAMES.join(', ')}`;
    this.#report(path, 'scenario.unknown_flag', `unknown flag \`${name}\``, help);
  }

  #reason(code: string, path: readonly PathStep[]): void {
    if (reasonOf(code) !== undefined) return;
    const codes = allReasons().map(([c]) => c);
    const help = didYouMean(code, codes) ?? '`kisim schema reasons` lists them';
    this.#report(path, 'scenario.unknown_reason', `unknown reason code \`${code}\``, help);
  }

  ids(steps: readonly ScenarioStep[]): void {
    const seen = new Map<string, number>();
    for (const step of steps) {
      if (step.id === null) continue;
      const first = seen.get(step.id);
      if (first !== undefined)
        this.#report(
          ['steps', step.number - 1, 'id'],
          'scenario.duplicate',
          `step ${first} has the id \`${step.id}\` already`,
          null,
        );
      else seen.set(step.id, step.number);
    }
  }
}

/** A step given as a value, as one of the text would be read; its mistakes otherwise. */
export function readStep(
  value: unknown,
  source: Source,
  data: DataContext,
): { readonly step: ScenarioStep | null; readonly diagnostics: readonly Diagnostic[] } {
  const loader = new Loader(source, { readFile: data.readFile });
  loader.builder.context = data;
  const step = loader.step(value, 0);
  const diagnostics = [...loader.diagnostics, ...loader.builder.diagnostics];
  return { step: step === undefined || diagnostics.length > 0 ? null : step, diagnostics };
}

/** Loads a scenario from its text; `file` names it in messages. */
export function loadScenario(file: string, text: string, options: LoadOptions = {}): LoadResult {
  const parsed = parseSource(file, text);
  if (!parsed.ok) return { ok: false, text, diagnostics: sortDiagnostics(parsed.diagnostics) };
  const { source, mistakes } = parsed;
  const loader = new Loader(source, options);
  loader.keys();
  const head = loader.head();
  // Before the steps: their data may name what belongs to the machine.
  const machine = head === undefined ? {} : machineConfig(loader.builder, head.machine ?? {}, head.title);
  const rawSteps = (source.value as { readonly steps?: unknown } | null)?.steps;
  const forms = Array.isArray(rawSteps) ? (rawSteps as readonly unknown[]) : [];
  const good = loader.steps(forms, ['steps']);
  loader.ids(good);
  const check = head?.check === undefined ? null : loader.check(head.check);
  if (head !== undefined && head.check === undefined && forms.length === 0) loader.empty();
  if (head?.expect !== undefined) loader.expectation(head.expect, ['expect']);
  const boot = head?.machine?.ipe_boot_policy;
  const policies = [
    ...policyDiagnostics(source, good, machine),
    ...(boot === undefined ? [] : bootPolicyDiagnostics(source, boot, machine)),
  ];
  const found = [...mistakes, ...loader.diagnostics, ...loader.builder.diagnostics, ...policies];
  const diagnostics = sortDiagnostics(found);
  if (head === undefined || diagnostics.some((d) => d.severity === 'error'))
    return { ok: false, text, diagnostics };
  const scenario: Scenario = {
    file,
    title: head.title,
    about: head.about ?? null,
    kind: head.kind,
    reference: head.reference ?? null,
    machine,
    steps: good,
    expect: head.expect ?? {},
    check,
    source,
    data: loader.builder.context,
  };
  return { ok: true, scenario, diagnostics };
}
