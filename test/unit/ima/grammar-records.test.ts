// Every policy upload of the recorded grammar cases: what each write(2) returned, what the read-back gained,
// and the audit records, against what the kernel did.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lintImaPolicy } from '../../../src/ima/lint.ts';
import { ROOT } from '../../support.ts';
import { World } from './world.ts';

interface Op {
  readonly op: string;
  readonly path?: string;
  readonly loop?: number;
  readonly data?: {
    readonly text?: string;
    readonly hex?: string;
    readonly repeat?: string;
    readonly n?: number;
  };
  readonly uid?: number;
}
interface Row {
  readonly err: string;
  readonly wrote?: readonly number[];
  readonly at_write?: string;
  readonly at_open?: string;
  readonly added?: string;
  readonly replaced?: string;
}
interface Case {
  readonly name: string;
  readonly cmdline: string;
  readonly ops: readonly Op[];
}

const FOLDER = join(ROOT, 'test/conformance');
const json = <T>(path: string): T => JSON.parse(readFileSync(join(FOLDER, path), 'utf8')) as T;

/** Cases that do nothing but upload rules (and look at the node). */
const cases = readdirSync(join(FOLDER, 'cases'))
  .filter((f) => /^(c|rc)/.test(f))
  .map((f) => ({
    input: json<Case>(`cases/${f}`),
    record: json<{ ops: Row[]; final: { audit: string[] } }>(`records/${f}`),
  }))
  .filter(({ input }) => input.ops.every((o) => ['mount', 'policy_row', 'cat'].includes(o.op)));

function textOf(op: Op): string {
  const d = op.data;
  if (d === undefined) return '';
  if (typeof d === 'string') return d;
  if (d.repeat !== undefined) return d.repeat.repeat(d.n ?? 1);
  return d.text ?? Buffer.from(d.hex ?? '', 'hex').toString('latin1');
}

function boot(cmdline: string): World {
  const words = cmdline.split(' ').filter((w) => /^(ima_|integrity_audit)/.test(w));
  return new World({ cmdline: words.join(' ') });
}

const normal = (line: string): string => line.replace(/\bpid=\d+/g, 'pid=N');

describe('policy uploads of the recorded kernel', () => {
  it('are found', () => {
    const rows = cases.flatMap((c) => c.input.ops.filter((o) => o.op === 'policy_row'));
    expect(rows.length).toBeGreaterThan(700);
  });

  it.each(cases.map((c) => [c.input.name, c] as const))('%s', (_name, { input, record }) => {
    const w = boot(input.cmdline);
    const first = w.auditBodies().length;
    for (const [i, op] of input.ops.entries()) {
      const want = record.ops[i] as Row;
      if (op.op !== 'policy_row') continue;
      const before = w.text('/sec/policy');
      const text = textOf(op);
      const { wrote, err } = op.loop === 0 ? oneWrite(w, text) : w.upload(text);
      const after = w.text('/sec/policy');
      const got: Row = {
        err: err === 0 ? 'OK' : err,
        wrote,
        ...(err === 0 ? {} : { at_write: err }),
        ...(after.startsWith(before) ? { added: after.slice(before.length) } : { replaced: after }),
      };
      expect(got, `row ${i}: ${JSON.stringify(text).slice(0, 200)}`).toEqual(want);
    }
    const lines = record.final.audit.filter((l) => !l.includes('boot_aggregate'));
    const audit = w.auditBodies(first).map((b) => `audit: type=${b.replace(' ', ' audit(T:N): ')}`);
    expect(audit.map((l) => normal(l).trimEnd())).toEqual(lines.map((l) => normal(l).trimEnd()));
  });

  it.each(cases.map((c) => [c.input.name, c] as const))(
    'lint says the same: %s',
    (_name, { input, record }) => {
      let custom = false;
      for (const [i, op] of input.ops.entries()) {
        const want = record.ops[i] as Row;
        if (op.op !== 'policy_row' || op.loop === 0) continue;
        const text = textOf(op);
        const report = lintImaPolicy(text);
        const labels = /\b(obj|subj)_(user|role|type)=/.test(text);
        // A label that nobody knows is an error in the first upload only.
        if (!(labels && !custom)) {
          const errno = want.at_write ?? null;
          expect([report.verdict, report.errno], text).toEqual([
            errno === null ? 'accepted' : 'rejected',
            errno,
          ]);
          const errors = report.diagnostics.filter((d) => d.severity === 'error');
          if (text.length < 4096) expect(errors.length > 0, text).toBe(errno !== null);
        }
        if (want.err === 'OK' && (want.added ?? want.replaced) !== '') custom = true;
      }
    },
  );
});

function oneWrite(w: World, text: string): ReturnType<World['upload']> {
  const end = text.indexOf('\n') + 1;
  const { wrote, err } = w.upload(text.slice(0, end));
  return { wrote, err };
}
