// Bench of the verifier: a list of 100,000 records with two banks, by `kisim attest verify` and by evmctl on the same
// files. Both are whole programs, start-up included.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { report } from './harness.ts';

const RECORDS = 100_000;

function hash(alg: string, ...parts: readonly Buffer[]): Buffer {
  const h = createHash(alg);
  for (const part of parts) h.update(part);
  return h.digest();
}

function u32(n: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(n);
  return out;
}

const field = (value: Buffer): Buffer => Buffer.concat([u32(value.length), value]);

/** Register values as evmctl reads them: only PCR 10 is not zero. */
function pcrFile(value: Buffer): string {
  return Array.from({ length: 24 }, (_, i) => {
    const bytes = i === 10 ? value : Buffer.alloc(value.length);
    const text = [...bytes].map((b) => b.toString(16).padStart(2, '0').toUpperCase()).join(' ');
    return `PCR-${String(i).padStart(2, '0')}: ${text}\n`;
  }).join('');
}

interface Files {
  readonly list: string;
  readonly sha1: string;
  readonly sha256: string;
}

function makeFiles(folder: string): Files {
  const parts: Buffer[] = [];
  let [sha1, sha256]: [Buffer, Buffer] = [Buffer.alloc(20), Buffer.alloc(32)];
  for (let i = 0; i < RECORDS; i++) {
    const digest = Buffer.concat([Buffer.from('sha256:\0'), hash('sha256', Buffer.from(String(i)))]);
    const data = Buffer.concat([field(digest), field(Buffer.from(`/usr/lib/file-${i}\0`))]);
    const template = hash('sha1', data);
    sha1 = hash('sha1', sha1, template);
    sha256 = hash('sha256', sha256, hash('sha256', data));
    parts.push(u32(10), template, field(Buffer.from('ima-ng')), field(data));
  }
  const files = { list: join(folder, 'list'), sha1: join(folder, 'sha1'), sha256: join(folder, 'sha256') };
  writeFileSync(files.list, Buffer.concat(parts));
  writeFileSync(files.sha1, pcrFile(sha1));
  writeFileSync(files.sha256, pcrFile(sha256));
  return files;
}

/** Runs a program n times; it must accept the list. */
function accepts(program: string, args: readonly string[]): (n: number) => void {
  return (n) => {
    for (let i = 0; i < n; i++) {
      const run = spawnSync(program, args, { encoding: 'utf8' });
      if (run.status !== 0) throw new Error(`${program}: ${run.error?.message ?? run.stderr}`);
    }
  };
}

function attestLongList(): void {
  const folder = mkdtempSync(join(tmpdir(), 'kisim-bench-'));
  const { list, sha1, sha256 } = makeFiles(folder);
  const kisim = [resolve('dist/cli/main.js'), 'attest', 'verify', '--list', list];
  const tasks = [
    {
      name: 'kisim attest verify',
      run: accepts(process.execPath, [...kisim, '--pcrs', `sha1:${sha1}`, '--pcrs', `sha256:${sha256}`]),
    },
  ];
  const evmctl = ['ima_measurement', '--pcrs', `sha1,${sha1}`, '--pcrs', `sha256,${sha256}`, list];
  if (spawnSync('evmctl', ['--version']).status === 0)
    tasks.push({ name: 'evmctl ima_measurement', run: accepts('evmctl', evmctl) });
  else console.log('no peer: evmctl is not installed');
  report('Lists of 100,000 records with two banks verified, whole programs', null, tasks);
  rmSync(folder, { recursive: true, force: true });
}

export const ATTEST_GROUPS: Readonly<Record<string, () => void>> = { attestLongList };
