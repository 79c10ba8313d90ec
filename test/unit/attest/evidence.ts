// What the tests of the verifier share: the export of one run as evidence, and ways to change parts of it.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '../../../src/crypto/auto.ts';
import { NO_POLICY } from '../../../src/attest/policy-rules.ts';
import type { ListRecord } from '../../../src/attest/record.ts';
import { readRegisters } from '../../../src/attest/registers.ts';
import { type Evidence, readList } from '../../../src/attest/verify.ts';
import { concat, fromUtf8 } from '../../../src/base/bytes.ts';
import { exportScenario } from '../../../src/cli/export.ts';
import type { HashName } from '../../../src/crypto/provider.ts';

const SCENARIO = `title: evidence
kind: regression
machine: { cmdline: "ima_policy=tcb ima_template=ima-sig" }
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: write, path: /mnt/a, data: "one\\n" }
  - { op: read, path: /mnt/a }
  - { op: write, path: /mnt/b, data: "two\\n" }
  - { op: read, path: /mnt/b }
  - { op: quote, name: early, pcrs: { sha256: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }, nonce: { hex: "aa" } }
  - { op: write, path: /mnt/c, data: "three\\n" }
  - { op: read, path: /mnt/c }
MORE`;

export type Files = ReadonlyMap<string, Uint8Array>;

/** The export of a run with more steps at its end. */
export function exported(more = '', key: 'ecc' | 'rsa' = 'ecc', scenario = SCENARIO): Files {
  const work = mkdtempSync(join(tmpdir(), 'kisim-attest-'));
  const file = join(work, 's.yaml');
  writeFileSync(file, scenario.replace('MORE', more));
  const { files } = exportScenario(file, { nonce: Uint8Array.of(1, 2, 3, 4), key });
  rmSync(work, { recursive: true });
  return files;
}

export function bytesOf(files: Files, name: string): Uint8Array {
  const bytes = files.get(name);
  if (bytes === undefined) throw new Error(`the export has no ${name}`);
  return bytes.slice();
}

export const BANKS = ['sha1', 'sha256'] as const satisfies readonly HashName[];

/** Everything of an export, as a verifier gets it. */
export function evidenceOf(files: Files, list = 'binary_runtime_measurements'): Evidence {
  const get = (name: string): Uint8Array => bytesOf(files, name);
  const whole = get(list);
  const banks = BANKS.filter((b) => files.has(`pcrs.${b}`));
  return {
    list: [() => [whole]],
    registers: new Map(banks.map((b) => [b, readRegisters(get(`pcrs.${b}`), b)])),
    quote: {
      quote: get('quote.msg'),
      signature: get('quote.sig'),
      ak: get('ak.pub'),
      nonce: Uint8Array.of(1, 2, 3, 4),
    },
    eventlog: get('eventlog.bin'),
    policy: NO_POLICY,
    last: null,
  };
}

/** The list of an evidence in its records' bytes, to be cut and mixed. */
export function recordsOf(evidence: Evidence): { readonly record: ListRecord; readonly bytes: Uint8Array }[] {
  const whole = concat(...evidence.list.flatMap((part) => [...part()]));
  const records: ListRecord[] = [];
  readList([() => [whole]], (r) => records.push(r));
  return records.map((record, i) => ({
    record,
    bytes: whole.slice(record.byte, records[i + 1]?.byte ?? whole.length),
  }));
}

export function withList(evidence: Evidence, ...parts: readonly Uint8Array[]): Evidence {
  return { ...evidence, list: parts.map((bytes) => () => [bytes]) };
}

/** A copy with one bit of one byte changed. */
export function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const out = bytes.slice();
  out[at] = (out[at] ?? 0) ^ 1;
  return out;
}

export const textOfFile = (files: Files, name: string): string => fromUtf8(bytesOf(files, name));
