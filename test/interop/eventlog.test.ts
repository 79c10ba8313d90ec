// The event log of the default boot is read by tpm2_eventlog, which computes the same registers; logs of real machines are
// parsed and replayed to what that tool says about them.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import '../../src/crypto/auto.ts';
import { toHex } from '../../src/base/bytes.ts';
import { crypto, digestSize, type HashName } from '../../src/crypto/provider.ts';
import {
  decodeEventLog,
  encodeEventLog,
  eventTypeNumber,
  LOG_ALGS,
  replayEventLog,
} from '../../src/kernel/eventlog.ts';
import { defaultFirmware } from '../../src/kernel/firmware.ts';
import { toolsMissing } from '../support.ts';

const missing = toolsMissing('interop/eventlog', 'tpm2_eventlog');
const BANKS: readonly HashName[] = ['sha1', 'sha256', 'sha384', 'sha512'];
const ALGS = LOG_ALGS.filter((a) => BANKS.includes(a.name));

function defaultLog(): Uint8Array {
  const events = defaultFirmware({ release: '6.12.107', cmdline: 'quiet ima_policy=tcb' }).map((e) => ({
    pcr: e.pcr,
    type: eventTypeNumber(e.type) ?? -1,
    digests: ALGS.map((a) => ({ algId: a.algId, digest: crypto().hash(a.name, e.data) })),
    event: e.event ?? e.data,
  }));
  return encodeEventLog(ALGS, events);
}

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

describe('event log of the default boot', () => {
  it('parses and replays with our own reader', () => {
    const log = decodeEventLog(defaultLog());
    expect(log.problem).toBeNull();
    expect(new Set(log.events.map((e) => e.pcr))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  });

  it.skipIf(missing)('is what tpm2_eventlog reads, with the same registers', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'kisim-')), 'eventlog.bin');
    const bytes = defaultLog();
    writeFileSync(file, bytes);
    const run = spawnSync('tpm2_eventlog', [file], { encoding: 'utf8' });
    expect(run.status, run.stderr).toBe(0);
    expect(run.stdout).toContain('EV_EFI_VARIABLE_DRIVER_CONFIG');
    expect(run.stdout).toContain('UnicodeName: SecureBoot');
    expect(toolsPcrs(run.stdout)).toEqual(replayed(bytes));
  });
});

const SAMPLES = process.env['KISIM_ARTEFACTS'] ?? join('..', 'shared', 'artefacts');
const folder = join(SAMPLES, 'eventlogs');
const files = existsSync(folder) ? readdirSync(folder).filter((f) => !f.endsWith('.yaml')) : [];
if (files.length === 0)
  console.warn(`skipped: logs of real machines: no folder ${folder} (set KISIM_ARTEFACTS)`);

describe.skipIf(files.length === 0)('logs of real machines', () => {
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
