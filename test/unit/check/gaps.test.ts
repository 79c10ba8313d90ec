// The matrix of gaps: each kind of mark, what it rests on, and the page that is made of it.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { gapsPage } from '../../../scripts/proposals/gaps-page.ts';
import { type Cell, findGaps, type GapsRow } from '../../../src/check/gaps/gaps.ts';
import { DATA_PATHS } from '../../../src/check/gaps/paths.ts';
import { gapsJson, gapsText } from '../../../src/check/gaps/text.ts';
import { play } from '../../../src/cli/play.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import { loadScenario } from '../../../src/scenario/loader.ts';
import '../../../src/scenario/registry.ts';
import { textOf } from '../../support.ts';

type Policies = { readonly ima?: string; readonly ipe?: string; readonly cmdline?: string };

function rows(policies: Policies): readonly GapsRow[] {
  const found = findGaps({ ...policies, boot: (config) => Machine.boot(config) });
  if (!found.ok) throw new Error(found.diagnostics.map((d) => d.message).join('; '));
  return found.rows;
}

/** `module.file` -> marks. */
function marks(all: readonly GapsRow[]): { readonly [cell: string]: string } {
  const cells = all.flatMap((r) => [r.file, r.buffer]);
  return Object.fromEntries(cells.map((c) => [`${c.path}.${c.form}`, c.marks.join(' ')]));
}
const cell = (all: readonly GapsRow[], path: string, form: 'file' | 'buffer'): Cell => {
  const row = all.find((r) => r.path.id === path);
  if (row === undefined) throw new Error(`no way ${path}`);
  return row[form];
};

describe('findGaps', () => {
  it('finds without policies what the kernel guards by itself', () => {
    const found = marks(rows({}));
    const guarded = Object.entries(found).filter(([, m]) => m !== 'nothing' && m !== '');
    expect(Object.fromEntries(guarded)).toEqual({
      'initramfs.buffer': 'measured',
      'ipe-policy.buffer': 'enforced',
      'certificate.file': 'enforced',
      'certificate.buffer': 'enforced',
    });
  });

  it('shows what secure_boot leaves open', () => {
    const all = rows({ cmdline: 'ima_policy=secure_boot' });
    expect(marks(all)).toMatchObject({
      'module.file': 'appraised',
      'module.buffer': 'appraised',
      'kexec-kernel.file': 'appraised',
      'kexec-initramfs.file': 'nothing',
      'kexec-cmdline.buffer': 'nothing',
      'ima-policy.file': 'appraised',
      'ima-policy.buffer': 'appraised',
      'ebpf.buffer': 'nothing',
    });
    expect(cell(all, 'module', 'file').signed?.err).toBe('OK');
    expect(cell(all, 'module', 'buffer').signed?.err).toBe('EACCES');
  });

  it('names the rule that measured', () => {
    const all = rows({ ima: 'measure func=KEXEC_CMDLINE\nmeasure func=CRITICAL_DATA label=selinux\n' });
    expect(cell(all, 'kexec-cmdline', 'buffer').reasons).toEqual([
      'measured as KEXEC_CMDLINE: measure func=KEXEC_CMDLINE',
    ]);
    expect(marks(all)['selinux-policy.buffer']).toBe('measured');
    expect(marks(all)['module.buffer']).toBe('nothing');
  });

  it('tells IPE from IMA, and what was never reached', () => {
    const ipe =
      'policy_name=p policy_version=0.0.1\nDEFAULT action=ALLOW\nDEFAULT op=KEXEC_IMAGE action=DENY\n';
    const all = rows({ ipe, ima: 'appraise func=FIRMWARE_CHECK appraise_type=imasig\n' });
    expect(marks(all)).toMatchObject({
      'kexec-kernel.file': 'enforced',
      'kexec-initramfs.file': 'nothing',
      'firmware.file': 'appraised',
    });
    expect(cell(all, 'kexec-kernel', 'file').bare?.by).toBe('IPE');
    expect(cell(all, 'kexec-initramfs', 'file').reasons[0]).toMatch(/^never reached: IPE refuses/);
  });

  it('gives back the mistakes of a policy that cannot be loaded', () => {
    const found = findGaps({ ima: 'measure func=NOTHING\n', boot: (config) => Machine.boot(config) });
    expect(found).toMatchObject({ ok: false, diagnostics: [{ severity: 'error' }] });
  });

  it('makes scenarios that end as the cells say', () => {
    for (const c of rows({ cmdline: 'ima_policy=tcb' }).flatMap((r) => [r.file, r.buffer])) {
      for (const [sample, text] of Object.entries(c.scenarios)) {
        const loaded = loadScenario(`${c.path}.yaml`, text);
        if (!loaded.ok) throw new Error(`${c.path} ${sample}: ${loaded.diagnostics[0]?.message}`);
        const last = play(loaded.scenario).report.steps.at(-1);
        const outcome = sample === 'bare' ? c.bare : c.signed;
        const ended = [last?.result.err, last?.result['loading']];
        if (last?.step.op['id'] === 'way' || last?.step.op.op !== 'add_key')
          expect(ended, `${c.path} ${c.form} ${sample}`).toContain(outcome?.err);
      }
    }
  });
});

describe('the matrix as text', () => {
  it('has a line for each way, and reasons', () => {
    const all = rows({});
    const lines = gapsText(all).split('\n');
    expect(lines[0]).toBe('what                    as a file  as a buffer');
    expect(lines.slice(1, 1 + DATA_PATHS.length).map((l) => l.split('  ')[0])).toEqual(
      DATA_PATHS.map((p) => p.title),
    );
    const json = gapsJson(all) as { path: string; file: { marks: string[] } }[];
    expect(json.map((r) => r.path)).toEqual(DATA_PATHS.map((p) => p.id));
    expect(JSON.stringify(json)).not.toContain('steps:');
  });

  it('is what docs/gaps.md shows (npm run proposals writes it)', () => {
    expect(textOf('docs/gaps.md')).toBe(gapsPage());
  });
});
