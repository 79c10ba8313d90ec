// What the design promises about speed, measured: each figure beside a peer in the same run where one exists.
// `npm run bench`; read the ratios, not the absolute numbers.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '../src/crypto/auto.ts';
import { assert } from '../src/base/assert.ts';
import { latin1 } from '../src/base/bytes.ts';
import { Writer } from '../src/base/codec.ts';
import { Machine } from '../src/kernel/machine.ts';
import { loadScenario } from '../src/scenario/loader.ts';
import { runScenario } from '../src/scenario/runner.ts';
import { manufacture } from '../src/tpm/manufacture.ts';
import { Tpm } from '../src/tpm/tpm.ts';
import { O_WRONLY } from '../src/vfs/constants.ts';
import { ATTEST_GROUPS } from './attest.ts';
import { CHECK_GROUPS } from './check.ts';
import { report } from './harness.ts';
import { IMA_GROUPS } from './ima.ts';
import { IPE_GROUPS } from './ipe.ts';
import { bootWithFiles, readOnce } from './machines.ts';

function forks(): void {
  const machine = bootWithFiles(1000, '');
  const opened = machine.sys(1).open('/mnt/f500', O_WRONLY);
  assert(opened.ok, 'open for writing');
  const data = latin1('x');
  const peer = new Map(Array.from({ length: 1000 }, (_, i) => [i, { size: i, data }] as const));
  report('fork and one write on a machine of 1,000 inodes', 200_000, [
    {
      name: 'machine.fork(), pwrite',
      run: (n) => {
        for (let i = 0; i < n; i++) machine.fork().sys(1).pwrite(opened.value, data, 0);
      },
    },
    {
      name: 'copy of a Map of 1,000 records, one set',
      run: (n) => {
        for (let i = 0; i < n; i++) new Map(peer).set(500, { size: i, data });
      },
    },
  ]);
}

function cachedReads(): void {
  const machine = bootWithFiles(10, 'ima_policy=tcb');
  readOnce(machine, '/mnt/f1');
  const folder = mkdtempSync(join(tmpdir(), 'kisim-bench-'));
  const path = join(folder, 'f');
  writeFileSync(path, 'file 1\n');
  const buffer = Buffer.alloc(64);
  let work = machine.fork();
  report('open, read, close of a measured file under tcb', 100_000, [
    {
      name: 'simulated',
      run: (n) => {
        // A fresh fork every thousand keeps the trace as short as that of a scenario.
        for (let i = 0; i < n; i++) {
          if (i % 1000 === 0) work = machine.fork();
          readOnce(work, '/mnt/f1');
        }
      },
    },
    {
      name: 'this host, through node:fs',
      run: (n) => {
        for (let i = 0; i < n; i++) {
          const fd = openSync(path, 'r');
          readSync(fd, buffer);
          closeSync(fd);
        }
      },
    },
  ]);
  rmSync(folder, { recursive: true });
}

function measuredOpens(): void {
  const count = 2000;
  const machine = bootWithFiles(count, 'ima_policy=tcb');
  const block = Buffer.alloc(100, 1);
  report('first open of a file that is measured (banks sha1, sha256)', 8_000, [
    {
      name: 'simulated',
      run: (n) => {
        for (let done = 0; done < n; ) {
          const work = machine.fork();
          for (let i = 0; i < count && done < n; i++, done++) readOnce(work, `/mnt/f${i}`);
        }
      },
    },
    {
      name: 'the five hashes alone, node:crypto',
      run: (n) => {
        for (let i = 0; i < n; i++) {
          for (const alg of ['sha256', 'sha1', 'sha256', 'sha1', 'sha256'])
            createHash(alg).update(block).digest();
        }
      },
    },
  ]);
}

const SCENARIO = `title: twenty steps
kind: regression
machine: { cmdline: ima_policy=tcb }
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
${Array.from({ length: 10 }, (_, i) => `  - { op: write, path: /mnt/f${i}, data: "text ${i}" }`).join('\n')}
${Array.from({ length: 9 }, (_, i) => `  - { op: read, path: /mnt/f${i} }`).join('\n')}
`;

function scenarios(): void {
  const loaded = loadScenario('bench.yaml', SCENARIO);
  assert(loaded.ok, 'the scenario loads');
  report('a scenario of 20 steps, from loaded YAML to its trace', 100, [
    {
      name: 'run, boot included',
      run: (n) => {
        for (let i = 0; i < n; i++) runScenario(loaded.scenario, (config) => Machine.boot(config));
      },
    },
    {
      name: 'run again on the machine as it was booted once',
      run: (n) => {
        for (let i = 0; i < n; i++) runScenario(loaded.scenario, (config) => Machine.bootOnce(config));
      },
    },
    {
      name: 'loading the same text',
      run: (n) => {
        for (let i = 0; i < n; i++) loadScenario('bench.yaml', SCENARIO);
      },
    },
  ]);
}

function extendCommand(): Uint8Array {
  const w = new Writer('be');
  const body = new Writer('be');
  body.u32(10).u32(9).u32(0x40000009).u16(0).u8(0).u16(0).u32(2);
  body.u16(0x0004).bytes(new Uint8Array(20).fill(1)).u16(0x000b).bytes(new Uint8Array(32).fill(1));
  const rest = body.finish();
  return w
    .u16(0x8002)
    .u32(10 + rest.length)
    .u32(0x182)
    .bytes(rest)
    .finish();
}

function extends_(): void {
  const tpm = new Tpm(manufacture({ seed: 'bench', banks: ['sha1', 'sha256'] }), {
    clock: { uptimeMs: () => 0 },
  });
  tpm.powerOn();
  tpm.execute(new Writer('be').u16(0x8001).u32(12).u32(0x144).u16(0).finish());
  const command = extendCommand();
  const answer = tpm.execute(command);
  assert(answer[9] === 0 && answer[8] === 0, `TPM2_PCR_Extend: ${answer[8]} ${answer[9]}`);
  const old = [Buffer.alloc(40), Buffer.alloc(64)];
  report('TPM2_PCR_Extend of two banks through execute()', null, [
    {
      name: 'simulated TPM',
      run: (n) => {
        for (let i = 0; i < n; i++) tpm.execute(command);
      },
    },
    {
      name: 'the two hashes alone, node:crypto',
      run: (n) => {
        for (let i = 0; i < n; i++) {
          createHash('sha1')
            .update(old[0] as Buffer)
            .digest();
          createHash('sha256')
            .update(old[1] as Buffer)
            .digest();
        }
      },
    },
  ]);
}

const GROUPS: Readonly<Record<string, () => void>> = {
  scenarios,
  extends_,
  forks,
  cachedReads,
  measuredOpens,
  ...IMA_GROUPS,
  ...ATTEST_GROUPS,
  ...IPE_GROUPS,
  ...CHECK_GROUPS,
};

// Each group runs in a process of its own: what one leaves behind must not slow the next one down.
const asked = process.argv[2];
if (asked === undefined) {
  for (const group of Object.keys(GROUPS)) {
    spawnSync(process.execPath, [process.argv[1] as string, group], { stdio: 'inherit' });
  }
} else GROUPS[asked]?.();
