// Every value of every register comes apart: the last line of its life is what the TPM holds, each extend leads from the
// value before it to the one after it, and firmware records are told by their content.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fromHex, latin1, toHex } from '../../../src/base/bytes.ts';
import { play } from '../../../src/cli/play.ts';
import { loadScenarioFile } from '../../../src/cli/scenario-file.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { registerLife } from '../../../src/explain/pcr.ts';
import { extendLines } from '../../../src/explain/render.ts';
import { EVENT_TYPES, encodeEventLog, LOG_ALGS } from '../../../src/kernel/eventlog.ts';
import { loadScenario, type Scenario } from '../../../src/scenario/loader.ts';
import { ROOT } from '../../support.ts';

const REGISTERS = Array.from({ length: 24 }, (_, i) => i);

function scenario(text: string, files: ReadonlyMap<string, Uint8Array> = new Map()): Scenario {
  const loaded = loadScenario('t.yaml', `title: t\nkind: regression\n${text}`, {
    readFile: (path) => files.get(path),
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  return loaded.scenario;
}

function expectApart(one: Scenario): void {
  const { machine, events } = play(one);
  for (const bank of machine.banks) {
    for (const pcr of REGISTERS) {
      const life = registerLife(events, pcr, bank);
      expect(life[0]?.kind, `${bank} ${pcr}`).toBe('start');
      let before = '';
      for (const { kind, digest, value } of life) {
        const folded = kind === 'extend' ? crypto().hash(bank, fromHex(`${before}${digest}`)) : null;
        if (folded !== null) expect(value, `${bank} ${pcr}`).toBe(toHex(folded));
        before = value;
      }
      expect(before, `${bank} ${pcr}`).toBe(toHex(machine.pcr(bank, pcr) ?? new Uint8Array(0)));
    }
  }
}

function linesOf(one: Scenario, pcr: number): string[] {
  const { events } = play(one);
  return extendLines(registerLife(events, pcr, 'sha256'), () => 'boot', false).map((l) => l.text.trim());
}

const below = (folder: string): string[] => readdirSync(join(ROOT, folder)).map((f) => join(ROOT, folder, f));

describe('registers come apart', () => {
  it.each([...below('scenarios/lessons'), ...below('scenarios/attacks')])('%s', (path) => {
    const loaded = loadScenarioFile(path);
    expect(loaded.ok).toBe(true);
    if (loaded.ok) expectApart(loaded.scenario);
  });

  it('also over resets, extends by programs, sleep and another boot', () => {
    expectApart(
      scenario(`machine: { cmdline: ima_policy=tcb, tpm: { banks: [sha1, sha256] } }
steps:
  - { op: pcr_extend, pcr: 16, data: x }
  - { op: pcr_reset, pcr: 16 }
  - { op: pcr_extend, pcr: 16, data: y }
  - { op: pcr_extend, pcr: 23, data: z }
  - { op: reset }
  - { op: pcr_extend, pcr: 23, data: z }
`),
    );
  });

  it.each([0, 3, 4])('with TPM2_Startup from locality %s in a log', (locality) => {
    const algs = LOG_ALGS.filter((a) => a.name === 'sha256');
    const record = (pcr: number, type: number, data: Uint8Array) => ({
      pcr,
      type,
      digests: algs.map((a) => ({ algId: a.algId, digest: crypto().hash(a.name, data) })),
      event: data,
    });
    const log = encodeEventLog(algs, [
      record(0, EVENT_TYPES.EV_NO_ACTION, Uint8Array.from([...latin1('StartupLocality\0'), locality])),
      record(0, EVENT_TYPES.EV_SEPARATOR, new Uint8Array(4)),
    ]);
    expectApart(
      scenario(
        'machine: { firmware: { eventlog: { file: log } } }\nsteps: [{ op: snapshot }]\n',
        new Map([['log', log]]),
      ),
    );
  });

  it('with registers as a recorded firmware left them', () => {
    const value = '11'.repeat(32);
    expectApart(
      scenario(
        `machine: { firmware: { pcrs: { sha256: { "0": "${value}" } } } }\nsteps: [{ op: snapshot }]\n`,
      ),
    );
  });
});

describe('what firmware measured', () => {
  const machine = scenario(`keys: { owner: {} }
machine:
  firmware:
    uefi:
      startup_locality: 3
      mok: [{ cert: owner }]
      sbat_level: "sbat,1"
      boot_options: [{ description: Other, path: '\\other.efi' }]
      loader: grub-stub
steps: [{ op: snapshot }]
`);

  it('is told by variable and vendor, path, text, tag and start value', () => {
    expect(linesOf(machine, 0)[0]).toBe(
      'boot       start -> 000000..03  TPM2_Startup (reset) from locality 3',
    );
    expect(linesOf(machine, 7)[1]).toMatch(
      /firmware event \d+ EV_EFI_VARIABLE_DRIVER_CONFIG: SecureBoot \(EFI global variable 8be4df61-93ca-11d2-aa0d-00e098032b8c\): on$/,
    );
    expect(linesOf(machine, 7).at(-1)).toMatch(/SbatLevel \(shim lock .*\): "sbat,1"$/);
    expect(linesOf(machine, 1)[3]).toMatch(/Boot0001 \(.*\): "Other", \\other\.efi$/);
    expect(linesOf(machine, 4)[3]).toMatch(
      /EV_EFI_BOOT_SERVICES_APPLICATION: \\EFI\\kisim\\shimx64\.efi, 15 bytes$/,
    );
    expect(linesOf(machine, 14)[1]).toMatch(/EV_IPL: "MokList"$/);
    expect(linesOf(machine, 8)[1]).toMatch(/EV_IPL: "grub_cmd: linux /);
    expect(linesOf(machine, 9).at(-1)).toMatch(/EV_EVENT_TAG: tag 0x8f3b22ec, "Linux initrd"$/);
    expect(linesOf(machine, 5)[1]).toMatch(/EV_SEPARATOR: end of the firmware part$/);
  });
});
