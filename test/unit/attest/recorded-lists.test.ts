// Lists of a real kernel: what every recorded case left in securityfs is read in its binary form, its ASCII form and the
// form of the sha256 bank, replays to the recorded registers, and gives the same records in each form.

import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { NO_POLICY } from '../../../src/attest/policy-rules.ts';
import { type ListRecord, recordFields } from '../../../src/attest/record.ts';
import { readList, verify } from '../../../src/attest/verify.ts';
import { fromHex, latin1, toHex } from '../../../src/base/bytes.ts';
import { type HashName, isHashName } from '../../../src/crypto/provider.ts';
import { ROOT } from '../../support.ts';

interface Final {
  readonly ascii: string;
  /** null without that bank. */
  readonly ascii_sha256: string | null;
  readonly binary: string;
  readonly pcrs: { readonly [bank: string]: { readonly [pcr: string]: string } };
}

const FOLDERS = ['test/conformance/records', 'test/conformance/own/records'];
const paths = FOLDERS.flatMap((folder) => readdirSync(join(ROOT, folder)).map((f) => join(ROOT, folder, f)));

function finals(path: string): readonly Final[] {
  const record = JSON.parse(readFileSync(path, 'utf8')) as { final: Final; stage2?: { final: Final } };
  return [record.final, ...(record.stage2 === undefined ? [] : [record.stage2.final])];
}

function recordsOf(bytes: Uint8Array): ListRecord[] {
  const out: ListRecord[] = [];
  readList([() => [bytes]], (r) => out.push(r));
  return out;
}

/** Registers of the recorded TPM; one that is left out is zero. */
function registersOf(
  { pcrs }: Final,
  records: readonly ListRecord[],
): Map<HashName, Map<number, Uint8Array>> {
  const used = new Set(records.map((r) => r.pcr));
  const out = new Map<HashName, Map<number, Uint8Array>>();
  for (const [bank, values] of Object.entries(pcrs)) {
    if (!isHashName(bank)) continue;
    const known = [...used].flatMap((n) => {
      const value = values[String(n)];
      return value === undefined ? [] : [[n, fromHex(value)] as const];
    });
    out.set(bank, new Map(known));
  }
  return out;
}

/** Cases in which list and register part: records that kexec loses, a program that extends the register. */
const APART: ReadonlySet<string> = new Set([
  'g05-kexec-template-ima',
  'oi03-kexec-dn',
  'og03-grown-list',
  'xb-kexec-overflow',
  'xb-user-extend',
]);

describe('lists that the recorded kernel wrote', () => {
  it.each(paths.map((p) => [basename(p, '.json'), p]))('%s', (name, path) => {
    for (const final of finals(path)) {
      if (final.binary === '') continue;
      const binary = fromHex(final.binary);
      const records = recordsOf(binary);
      const registers = registersOf(final, records);
      const report = verify({
        list: [() => [binary]],
        registers,
        quote: null,
        eventlog: null,
        policy: { ...NO_POLICY, violations: 'allow' },
        last: null,
      });
      const failed = report.findings.filter((f) => f.level === 'fail');
      if (APART.has(name)) expect(failed.every((f) => f.code === 'attest.list_replay')).toBe(true);
      else expect(failed.map((f) => f.message)).toEqual([]);
      for (const record of records) expect(recordFields(record), `${record.index}`).not.toBeNull();

      const shown = (r: ListRecord): string => `${r.pcr} ${toHex(r.digest)} ${r.template}`;
      expect(recordsOf(latin1(final.ascii)).map(shown)).toEqual(records.map(shown));
      const { ascii_sha256: other } = final;
      if (typeof other !== 'string') continue;
      const place = (r: ListRecord): string => `${r.pcr} ${r.template}`;
      expect(recordsOf(latin1(other)).map(place)).toEqual(records.map(place));
    }
  });
});
