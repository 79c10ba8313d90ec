// The real tpm2_checkquote verifies a quote that a simulated TPM made inside a scenario, and refuses it when a register,
// the nonce or the key is another one. tpm2_print and openssl read the same files.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { exportScenario } from '../../src/cli/export.ts';
import { toolsMissing } from '../support.ts';

const SCENARIO = `title: a quote for tpm2-tools
kind: regression
machine: { cmdline: ima_policy=tcb }
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: write, path: /mnt/a, data: "one\\n" }
  - { op: read, path: /mnt/a }
  - { op: quote, name: mine, pcrs: { sha1: [10], sha256: [0, 1, 2, 3, 4, 5, 6, 7, 10] }, nonce: { hex: "00112233" }, key: KEY }
`;

function run(
  tool: string,
  args: readonly string[],
): { readonly status: number | null; readonly text: string } {
  const r = spawnSync(tool, args, { encoding: 'utf8' });
  return { status: r.status, text: `${r.stdout}${r.stderr}` };
}

describe
  .skipIf(toolsMissing('checkquote', 'tpm2_checkquote', 'tpm2_print', 'openssl'))
  .each(['ecc', 'rsa'] as const)('a quote by an %s key', (key) => {
  const work = mkdtempSync(join(tmpdir(), 'kisim-quote-'));
  afterAll(() => rmSync(work, { recursive: true }));
  const file = join(work, 'quote.yaml');
  writeFileSync(file, SCENARIO.replace('KEY', key));
  const { files } = exportScenario(file, { nonce: Uint8Array.of(1, 2, 3, 4), key });
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(work, path)), { recursive: true });
    writeFileSync(join(work, path), bytes);
  }
  const at = (name: string): string => join(work, name);

  function check(
    base: string,
    nonce: string,
    pcrs = `${base}.pcrs`,
    ak = 'ak.pem',
  ): { status: number | null; text: string } {
    return run('tpm2_checkquote', [
      '-u',
      at(ak),
      '-m',
      at(`${base}.msg`),
      '-s',
      at(`${base}.sig`),
      '-f',
      at(pcrs),
      '-g',
      'sha256',
      '-q',
      nonce,
    ]);
  }

  it('made by a step is accepted with its registers', () => {
    const found = check('quotes/mine', '00112233', 'quotes/mine.pcrs', 'quotes/mine.pem');
    expect(found.status, found.text).toBe(0);
    const shown = /sha256:[\s\S]*10: 0x([0-9A-F]+)/.exec(found.text)?.[1]?.toLowerCase();
    expect(readFileSync(at('pcrs.sha256'), 'utf8')).toContain(`PCR-10: ${shown}`);
  });

  it('made at the end is accepted, with the key as PEM and as TPM2B_PUBLIC', () => {
    for (const ak of ['ak.pem', 'ak.pub']) {
      const found = check('quote', '01020304', 'quote.pcrs', ak);
      expect(found.status, found.text).toBe(0);
    }
  });

  it('is refused with another nonce', () => {
    expect(check('quote', '01020305').status).not.toBe(0);
  });

  it('is refused when one register differs', () => {
    const bytes = Buffer.from(readFileSync(at('quote.pcrs')));
    const first = 4 + 8 * 16 + 4 + 4 + 2;
    bytes.writeUInt8(bytes.readUInt8(first) ^ 1, first);
    writeFileSync(at('other.pcrs'), bytes);
    expect(check('quote', '01020304', 'other.pcrs').status).not.toBe(0);
  });

  it('is refused when one byte of the message differs', () => {
    const bytes = Buffer.from(readFileSync(at('quote.msg')));
    bytes.writeUInt8(bytes.readUInt8(60) ^ 1, 60);
    writeFileSync(at('other.msg'), bytes);
    writeFileSync(at('other.sig'), readFileSync(at('quote.sig')));
    expect(check('other', '01020304', 'quote.pcrs').status).not.toBe(0);
  });

  it('is read by tpm2_print, its key by openssl', () => {
    const shown = run('tpm2_print', ['-t', 'TPMS_ATTEST', at('quote.msg')]);
    expect(shown.status, shown.text).toBe(0);
    expect(shown.text).toContain('extraData: 01020304');
    const text = run('openssl', ['pkey', '-pubin', '-in', at('ak.pem'), '-noout', '-text']);
    expect(text.text).toMatch(key === 'ecc' ? /prime256v1/ : /2048 bit/);
  });
});
