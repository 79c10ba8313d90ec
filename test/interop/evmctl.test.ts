// The real evmctl reads what `kisim export` writes: it replays the measurement list against the exported registers, accepts
// them, and refuses a list with one changed byte.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportScenario } from '../../src/cli/export.ts';
import { toolsMissing } from '../support.ts';

const SCENARIO = `title: three files for evmctl
kind: regression
machine: { cmdline: ima_policy=tcb TEMPLATE }
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: write, path: /mnt/a, data: "one\\n" }
  - { op: write, path: "/mnt/b c", data: "two\\n" }
  - { op: write, path: /mnt/ü, data: "three\\n" }
  - { op: read, path: /mnt/a }
  - { op: read, path: "/mnt/b c" }
  - { op: read, path: /mnt/ü }
`;

const VIOLATION = `  - { op: open, path: /mnt/a, slot: r, flags: rdonly, as: { actor: reader } }
  - { op: open, path: /mnt/a, slot: w, flags: wronly }
`;

describe.skipIf(toolsMissing('evmctl', 'evmctl'))('evmctl', () => {
  const work = mkdtempSync(join(tmpdir(), 'kisim-evmctl-'));
  afterAll(() => rmSync(work, { recursive: true }));

  function exported(name: string, text: string): string {
    const file = join(work, `${name}.yaml`);
    writeFileSync(file, text);
    const folder = join(work, name);
    for (const [path, bytes] of exportScenario(file, { nonce: new Uint8Array(8), key: 'ecc' }).files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), bytes);
    }
    return folder;
  }

  function measurement(
    folder: string,
    list = 'binary_runtime_measurements',
    ...more: string[]
  ): { status: number | null; text: string } {
    const pcrs = ['sha1', 'sha256'].flatMap((alg) => ['--pcrs', `${alg},${join(folder, `pcrs.${alg}`)}`]);
    const r = spawnSync('evmctl', ['ima_measurement', ...more, ...pcrs, join(folder, list)], {
      encoding: 'utf8',
    });
    return { status: r.status, text: `${r.stdout}${r.stderr}` };
  }

  let plain = '';
  beforeAll(() => {
    plain = exported('plain', SCENARIO.replace('TEMPLATE', ''));
  });

  it('accepts the list with the registers of two banks', () => {
    const found = measurement(plain);
    expect(found.text).toContain('Matched per TPM bank calculated digest(s)');
    expect(found.status).toBe(0);
  });

  it.each(['ima', 'ima-sig', 'ima-ngv2', 'ima-buf'])('accepts the template %s', (template) => {
    const found = measurement(exported(template, SCENARIO.replace('TEMPLATE', `ima_template=${template}`)));
    expect(found.status, found.text).toBe(0);
  });

  it('accepts a list with a violation only when it is told to', () => {
    const folder = exported('violation', `${SCENARIO.replace('TEMPLATE', '')}${VIOLATION}`);
    expect(measurement(folder)).toEqual({ status: 1, text: expect.stringContaining('Failed to match') });
    const found = measurement(folder, 'binary_runtime_measurements', '--ignore-violations');
    expect(found).toEqual({ status: 0, text: expect.stringContaining('Matched per TPM bank') });
  });

  it('refuses a list with one byte of a digest changed', () => {
    const list = readFileSync(join(plain, 'binary_runtime_measurements'));
    const at = list.indexOf(Buffer.from('/mnt/a\0'));
    expect(at).toBeGreaterThan(0);
    const forged = Buffer.from(list);
    forged.writeUInt8(forged.readUInt8(at + 5) ^ 1, at + 5);
    writeFileSync(join(plain, 'forged'), forged);
    expect(measurement(plain, 'forged')).toEqual({
      status: 1,
      text: expect.stringContaining('Failed to match'),
    });
  });

  it('refuses registers with one digit changed', () => {
    const folder = exported('registers', SCENARIO.replace('TEMPLATE', ''));
    for (const alg of ['sha1', 'sha256']) {
      const path = join(folder, `pcrs.${alg}`);
      const lines = readFileSync(path, 'utf8').split('\n');
      const at = lines.findIndex((l) => l.startsWith('PCR-10:'));
      const line = lines[at] ?? '';
      lines[at] = `${line.slice(0, -1)}${line.endsWith('0') ? '1' : '0'}`;
      writeFileSync(path, lines.join('\n'));
    }
    expect(measurement(folder)).toEqual({ status: 1, text: expect.stringContaining('Failed to match') });
  });
});
