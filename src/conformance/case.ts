// The form of a recorded case: what is on the machine besides the environment, the command line, the
// operations. The loader answers with a case or with every complaint about the text, each with its place.

import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { DATA, type Data } from '../scenario/ops/types.ts';
import { checkOp, type OpInput } from '../scenario/session.ts';
import { jsonErrorOffset } from './json-place.ts';

const opSchema = z.looseObject({ op: z.string() });
const registers = z.record(z.string(), z.record(z.string(), z.string().regex(/^([0-9a-fA-F]{2})+$/)));

const caseSchema = z.object({
  name: z.string().min(1),
  group: z.string(),
  about: z.string().optional(),
  cmdline: z.string(),
  drives: z.array(z.string()).optional(),
  nomount: z.boolean().optional(),
  notpm: z.boolean().optional(),
  kernel: z.string().optional(),
  initramfs: z.record(z.string(), DATA).optional(),
  init: z.object({ opaque: z.string(), digests: z.record(z.string(), z.string()) }).optional(),
  firmware: registers.optional(),
  kexec: z.boolean().optional(),
  ops: z.array(opSchema),
  stage2: z.array(opSchema).optional(),
});

export interface RecordedCase {
  readonly name: string;
  readonly group: string;
  readonly about?: string | undefined;
  readonly cmdline: string;
  /** Images of /dev/vdc, /dev/vdd ...; default one ext4. */
  readonly drives?: readonly string[] | undefined;
  readonly nomount?: boolean | undefined;
  readonly notpm?: boolean | undefined;
  /** Configuration variant. */
  readonly kernel?: string | undefined;
  readonly initramfs?: { readonly [path: string]: Data } | undefined;
  readonly init?: { readonly opaque: string; readonly digests: Readonly<Record<string, string>> } | undefined;
  /** Bank -> register -> hex, as firmware and boot loader left them. */
  readonly firmware?: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined;
  /** After the operations the loaded kernel is executed; `stage2` is what the second one does. */
  readonly kexec?: boolean | undefined;
  readonly ops: readonly OpInput[];
  readonly stage2?: readonly OpInput[] | undefined;
}

export interface CaseComplaint {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** `ops[3].path`; empty for the file as a whole. */
  readonly at: string;
  readonly message: string;
}

export type LoadedCase =
  | { readonly ok: true; readonly value: RecordedCase }
  | { readonly ok: false; readonly complaints: readonly CaseComplaint[] };

/** `ops[3].path` of a path of keys. */
function pathText(path: readonly PropertyKey[]): string {
  let out = '';
  for (const key of path) {
    if (typeof key === 'number') out += `[${key}]`;
    else out += out === '' ? String(key) : `.${String(key)}`;
  }
  return out;
}

/** Places of members in a JSON text: the text is read once more, as YAML, which keeps them. */
class Places {
  readonly #lines = new LineCounter();
  readonly #document;

  constructor(text: string) {
    this.#document = parseDocument(text, { lineCounter: this.#lines });
  }

  of(path: readonly PropertyKey[]): { readonly line: number; readonly column: number } {
    for (let n = path.length; n >= 0; n--) {
      const node: unknown = n === 0 ? this.#document.contents : this.#document.getIn(path.slice(0, n), true);
      const range = (node as { range?: [number, number, number] | null } | undefined)?.range;
      if (range) {
        const { line, col } = this.#lines.linePos(range[0]);
        return { line, column: col };
      }
    }
    return { line: 1, column: 1 };
  }
}

function syntaxComplaint(file: string, text: string): CaseComplaint {
  const offset = jsonErrorOffset(text);
  const before = text.slice(0, offset).split('\n');
  const column = (before[before.length - 1] ?? '').length + 1;
  const found = offset === text.length ? 'the text ends too early' : `\`${text[offset]}\` cannot stand here`;
  return { file, line: before.length, column, at: '', message: `not JSON: ${found}` };
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

const isOp = (v: unknown): v is OpInput =>
  typeof v === 'object' && v !== null && typeof (v as { op?: unknown }).op === 'string';

/** Complaints about the arguments of operations; an unknown operation is not one: its result says so. */
function opIssues(json: unknown): Issue[] {
  const out: Issue[] = [];
  for (const member of ['ops', 'stage2']) {
    const ops = (json as { [member: string]: unknown } | null)?.[member];
    for (const [i, op] of (Array.isArray(ops) ? ops : []).entries()) {
      if (!isOp(op)) continue;
      for (const issue of checkOp(op)) out.push({ path: [member, i, ...issue.path], message: issue.message });
    }
  }
  return out;
}

/** Reads the text of a case file. */
export function loadCase(file: string, text: string): LoadedCase {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { ok: false, complaints: [syntaxComplaint(file, text)] };
  }
  const parsed = caseSchema.safeParse(json);
  const issues: Issue[] = [...(parsed.success ? [] : parsed.error.issues), ...opIssues(json)];
  if (parsed.success && issues.length === 0) return { ok: true, value: parsed.data as RecordedCase };
  const places = new Places(text);
  const complaints = issues.map((i) => ({
    file,
    ...places.of(i.path),
    at: pathText(i.path),
    message: i.message,
  }));
  return { ok: false, complaints };
}

/** `file:line:column: ops[3].path: message`. */
export function complaintText(c: CaseComplaint): string {
  return `${c.file}:${c.line}:${c.column}: ${c.at === '' ? '' : `${c.at}: `}${c.message}`;
}
