// The `firmware` part of a scenario: what it becomes, and what is said about mistakes in it.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { toHex, utf8 } from '../../../src/base/bytes.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import type { UefiSpec } from '../../../src/kernel/api.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import { loadScenario } from '../../../src/scenario/loader.ts';

const LOG = Machine.boot({}).eventLog();
const FILES = new Map([
  ['log.bin', LOG],
  ['cut.bin', LOG.subarray(0, LOG.length - 3)],
  ['pe.efi', utf8('no PE image')],
]);

function loaded(firmware: string) {
  const text = `title: t
kind: regression
keys: { owner: {} }
machine:
  firmware: ${firmware}
steps:
  - { op: snapshot }
`;
  return loadScenario('t.yaml', text, { readFile: (path) => FILES.get(path), siblings: [...FILES.keys()] });
}

function uefi(form: string): UefiSpec {
  const result = loaded(`{ uefi: ${form} }`);
  if (!result.ok) throw new Error(result.diagnostics.map((d) => d.message).join('\n'));
  const { firmware } = result.scenario.machine;
  return firmware !== undefined && 'uefi' in firmware ? firmware.uefi : {};
}

const sha256 = (data: Uint8Array): string => toHex(crypto().hash('sha256', data));

describe('firmware of a scenario', () => {
  it('takes the set-up of a UEFI machine', () => {
    expect(uefi('{ secure_boot: false, loader: grub-stub, startup_locality: 3, log: sha1 }')).toEqual({
      images: {},
      secureBoot: false,
      loader: 'grub-stub',
      startupLocality: 3,
      log: 'sha1',
    });
    const { images, bootOptions, sbatLevel, grubCommands } = uefi(
      '{ images: { kernel: { text: k } }, boot_options: [{ description: d, path: p }], sbat_level: s, grub_commands: [c] }',
    );
    expect([images, bootOptions, sbatLevel, grubCommands]).toEqual([
      { kernel: utf8('k') },
      [{ description: 'd', path: 'p' }],
      's',
      ['c'],
    ]);
  });

  it('takes certificates and hashes of signature databases', () => {
    const { mok, mokTrusted, dbx } = uefi(
      `{ mok: [{ cert: owner }], mok_trusted: true, dbx: [{ sha256: "${'0a'.repeat(32)}" }, { sha256_of: { file: pe.efi } }, { cert_sha256_of: { cert: owner } }] }`,
    );
    expect(mokTrusted).toBe(true);
    expect(mok?.map((e) => 'cert' in e && e.cert[0])).toEqual([0x30]);
    const [first, second, third] = dbx ?? [];
    expect([first, second].map((e) => e !== undefined && 'sha256' in e && toHex(e.sha256))).toEqual([
      '0a'.repeat(32),
      sha256(utf8('no PE image')),
    ]);
    expect(third !== undefined && 'certSha256' in third && third.certSha256.length).toBe(32);
  });

  it('takes the event log of a real machine from a file', () => {
    const result = loaded('{ eventlog: { file: log.bin } }');
    expect(result.ok && result.scenario.machine.firmware).toEqual({ eventlog: LOG });
  });

  it.each([
    ['{ eventlog: { file: cut.bin } }', /^byte \d+: the last record is cut off/, '{ file: cut.bin }'],
    ['{ eventlog: "" }', /^byte 0: the event log is empty/, '""'],
    ['{ eventlog: { file: lag.bin } }', /lag\.bin/, 'lag.bin'],
    ['{ uefi: { db: [{ sha256: "00" }] } }', /32 bytes, not 1/, '"00"'],
    ['{ uefi: { mok: [nonsense] } }', /no certificate/, 'nonsense'],
    ['{ uefi: { dbx: [{ cert_sha256_of: { hex: "3000" } }] } }', /cannot be read/, '{ hex'],
    ['{ uefi: { loader: stub, mok_trusted: true } }', /no shim/, 'mok_trusted'],
    ['{ uefi: { secureboot: true } }', /secureboot/, 'secureboot'],
    ['{ events: [{ pcr: 1, type: EV_NONSENSE, data: x }] }', /EV_NONSENSE/, 'EV_NONSENSE'],
    ['{ pcrs: { sha1: { "24": "00" } } }', /no PCR 24/, '"24"'],
  ])('%s is a mistake with a place', (firmware, message, place) => {
    const result = loaded(firmware);
    expect(result.ok).toBe(false);
    const [first] = result.diagnostics;
    expect(first?.message).toMatch(message);
    expect(first?.line).toBe(5);
    expect(`  firmware: ${firmware}`.slice((first?.column ?? 1) - 1)).toSatisfy((text: string) =>
      text.startsWith(place),
    );
  });

  it('no bytes of a log crash the loader', () => {
    for (let i = 0; i < 200; i++) {
      const broken = LOG.slice(0, 40 + i * 7);
      broken[i % broken.length] = i * 37;
      FILES.set('broken.bin', broken);
      const result = loaded('{ eventlog: { file: broken.bin } }');
      if (result.ok) expect(Machine.boot(result.scenario.machine).eventLog()).toEqual(broken);
      else expect(result.diagnostics[0]?.message).toMatch(/^byte \d+: /);
    }
  });
});
