// The event logs of simulated machines are read by tpm2_eventlog, which computes the registers of their TPMs; logs of real
// machines are parsed, replayed to what that tool says about them, and measured again as the firmware of a machine.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import '../../src/crypto/auto.ts';
import { bootAggregate } from '../../src/attest/eventlog.ts';
import { eventLogYaml } from '../../src/attest/eventlog-yaml.ts';
import { fromUtf8, latin1, toHex } from '../../src/base/bytes.ts';
import { crypto, digestSize, type HashName } from '../../src/crypto/provider.ts';
import type { FirmwareSpec } from '../../src/kernel/api.ts';
import { decodeEventLog, LOG_ALGS, replayEventLog } from '../../src/kernel/eventlog.ts';
import { Machine } from '../../src/kernel/machine.ts';
import { logMistake } from '../../src/kernel/real-log.ts';
import { toolsMissing } from '../support.ts';

const missing = toolsMissing('interop/eventlog', 'tpm2_eventlog');
const BANKS: readonly HashName[] = ['sha1', 'sha256', 'sha384', 'sha512'];

/** What our replay makes of a log: bank -> register -> hex. */
function replayed(bytes: Uint8Array): Record<string, Record<string, string>> {
  const log = decodeEventLog(bytes);
  const out: Record<string, Record<string, string>> = {};
  for (const a of LOG_ALGS) {
    if (!log.algorithms.some((x) => x.algId === a.algId)) continue;
    const pcrs = replayEventLog(log, a.algId, (d) => crypto().hash(a.name, d));
    if (pcrs.size > 0) out[a.name] = Object.fromEntries([...pcrs].map(([n, v]) => [n, toHex(v)]));
  }
  return out;
}

/** The `pcrs:` part of tpm2_eventlog's answer in the same form. */
function toolsPcrs(yaml: string): Record<string, Record<string, string>> {
  const text = yaml.replace(/: 0x([0-9a-f]+)/g, ": '$1'");
  const doc = parse(text.slice(text.indexOf('\npcrs:'))) as {
    pcrs: Record<string, Record<string, string> | null> | null;
  };
  const out: Record<string, Record<string, string>> = {};
  for (const [bank, pcrs] of Object.entries(doc.pcrs ?? {})) {
    if (!BANKS.includes(bank as HashName) || pcrs === null) continue;
    out[bank] = Object.fromEntries(
      Object.entries(pcrs).map(([n, v]) => [n, String(v).padStart(digestSize(bank as HashName) * 2, '0')]),
    );
  }
  return out;
}

const CERT = new Uint8Array(600).fill(0x30);
const BOOTS: readonly (readonly [string, FirmwareSpec | undefined])[] = [
  ['the default boot', undefined],
  [
    'shim, MOK lists, GRUB and the stub',
    {
      uefi: {
        db: [{ cert: CERT }],
        dbx: [{ sha256: new Uint8Array(32) }, { sha256: new Uint8Array(32).fill(1) }],
        mok: [{ cert: CERT }],
        mokx: [],
        mokTrusted: true,
        sbatLevel: 'sbat,1,2023012900',
        bootOptions: [{ description: 'other', path: '\\EFI\\other.efi' }],
        loader: 'grub-stub',
        grubCommands: ['set pager=1'],
      },
    },
  ],
  ['the stub alone, Secure Boot off', { uefi: { loader: 'stub', secureBoot: false } }],
  ['the old form', { uefi: { log: 'sha1' } }],
];

describe.each(BOOTS)('event log of a simulated machine: %s', (_, firmware) => {
  it.skipIf(missing).each([1, 2])(
    'is what tpm2_eventlog reads (version %s), with the registers of the TPM',
    (version) => {
      const m = Machine.boot({
        cmdline: 'quiet ima_policy=tcb',
        ...(firmware === undefined ? {} : { firmware }),
      });
      const file = join(mkdtempSync(join(tmpdir(), 'kisim-')), 'eventlog.bin');
      writeFileSync(file, m.eventLog());
      const run = spawnSync('tpm2_eventlog', [`--eventlog-version=${version}`, file], { encoding: 'latin1' });
      expect([run.status, run.stderr]).toEqual([0, '']);
      expect(latin1(eventLogYaml(m.eventLog(), version as 1 | 2).text)).toEqual(latin1(run.stdout));
      const told = toolsPcrs(run.stdout);
      expect(told).toEqual(replayed(m.eventLog()));
      for (const [bank, pcrs] of Object.entries(told))
        for (const [n, value] of Object.entries(pcrs))
          expect(toHex(m.pcr(bank as HashName, Number(n)) ?? new Uint8Array(0)), `${bank} ${n}`).toBe(value);
    },
  );
});

const SAMPLES = process.env['KISIM_ARTEFACTS'] ?? join('..', 'shared', 'artefacts');
const folder = join(SAMPLES, 'eventlogs');
const files = existsSync(folder) ? readdirSync(folder).filter((f) => !f.endsWith('.yaml')) : [];
if (files.length === 0)
  console.warn(`skipped: logs of real machines: no folder ${folder} (set KISIM_ARTEFACTS)`);

describe.skipIf(files.length === 0)('logs of real machines', () => {
  it.each(files.map((f) => [f]))(
    '%s: is the firmware part of a machine, or a mistake with its byte',
    (file) => {
      const eventlog = new Uint8Array(readFileSync(join(folder, file)));
      const wrong = logMistake(eventlog);
      if (wrong !== null) {
        expect(wrong.offset).toBeLessThanOrEqual(eventlog.length);
        expect(wrong.help).not.toBe('');
        return;
      }
      const m = Machine.boot({ firmware: { eventlog } });
      expect(m.securityfs('tpm0/binary_bios_measurements')).toEqual(eventlog);
      const log = replayed(eventlog);
      expect(Object.keys(log).length).toBeGreaterThan(0);
      for (const bank of m.banks)
        for (const [n, value] of Object.entries(log[bank] ?? {}))
          expect(toHex(m.pcr(bank, Number(n)) ?? new Uint8Array(0)), `${bank} ${n}`).toBe(value);
      // boot_aggregate is of the bank that IMA hashes with, or of sha1 (PCR 0 to 7) where it has no other.
      const [bank, last] = m.banks.includes('sha256') ? (['sha256', 9] as const) : (['sha1', 7] as const);
      const values = new Map(
        Array.from({ length: last + 1 }, (_, i) => [i, m.pcr(bank, i) ?? new Uint8Array(0)]),
      );
      const aggregate = toHex(bootAggregate(bank, values, last) ?? new Uint8Array(0));
      expect(fromUtf8(m.imaList('ascii'))).toContain(`${bank}:${aggregate} boot_aggregate`);
    },
  );

  it.each(files.map((f) => [f]))('%s: all of it is read', (file) => {
    const log = decodeEventLog(readFileSync(join(folder, file)));
    expect(log.events.length > 0 || log.spec !== null).toBe(true);
    expect(log.problem === null || /cut off|declares/.test(log.problem)).toBe(true);
  });

  it.skipIf(missing).each(files.map((f) => [f]))('%s: replays to what tpm2_eventlog computes', (file) => {
    const path = join(folder, file);
    const run = spawnSync('tpm2_eventlog', [path], { encoding: 'utf8', maxBuffer: 1 << 26 });
    const log = decodeEventLog(readFileSync(path));
    if (run.status !== 0) {
      // What the tool refuses is a log that ends early for us too.
      expect(log.problem !== null || log.events.length > 0).toBe(true);
      return;
    }
    if (log.problem !== null) return;
    const [ours, theirs] = [replayed(readFileSync(path)), toolsPcrs(run.stdout)];
    // tpm2_eventlog 5.4 does not know that a StartupLocality event sets the start value of PCR 0.
    if (log.startupLocality !== null)
      for (const side of [ours, theirs]) for (const b of Object.values(side)) delete b['0'];
    expect(ours).toEqual(theirs);
  });
});
