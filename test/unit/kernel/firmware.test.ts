import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { bootAggregate, replayBanks } from '../../../src/attest/eventlog.ts';
import { concat, filled, fromUtf8, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { DEFAULT_CONFIG, PROFILES } from '../../../src/base/profile.ts';
import { crypto, type HashName } from '../../../src/crypto/provider.ts';
import type { FirmwareSpec, UefiSpec } from '../../../src/kernel/api.ts';
import { eventText } from '../../../src/kernel/event-text.ts';
import {
  decodeEventLog,
  EVENT_TYPES,
  encodeEventLog,
  encodeOldEventLog,
  eventTypeName,
  LOG_ALGS,
} from '../../../src/kernel/eventlog.ts';
import { Machine } from '../../../src/kernel/machine.ts';
import { logMistake } from '../../../src/kernel/real-log.ts';
import { imageParts, readVariable, variableData } from '../../../src/kernel/uefi.ts';
import { makeKeys, type ScenarioKeys } from '../../../src/scenario/keys.ts';
import { machine, read } from './machines.ts';

const made = makeKeys({ ca: {}, mok: { ca: false }, revoked: {} }, 'firmware');
const KEYS: ScenarioKeys = made.ok ? made.keys : new Map();
const cert = (name: string): Uint8Array => KEYS.get(name)?.certificate ?? new Uint8Array(0);
const sha = (alg: HashName, data: Uint8Array): Uint8Array => crypto().hash(alg, data);

const boot = (firmware: FirmwareSpec, config: Record<string, string> = {}): Machine =>
  machine({
    firmware,
    disks: [],
    profile: {
      ...(PROFILES['linux-6.12.107'] as NonNullable<(typeof PROFILES)[string]>),
      config: { ...DEFAULT_CONFIG, ...config },
    },
  });

/** Every register that the log names has the value that the log leads to, in every bank of both. */
function expectReplay(m: Machine): void {
  const banks = replayBanks(decodeEventLog(m.eventLog()));
  expect(banks.size).toBeGreaterThan(0);
  for (const [bank, pcrs] of banks) {
    for (const [pcr, value] of pcrs)
      expect(toHex(m.pcr(bank, pcr) ?? filled(0, 0)), `${bank} ${pcr}`).toBe(toHex(value));
  }
}

/** First entry of the list: digest of the registers that the log leads to. */
function expectAggregate(m: Machine, bank: HashName, last: 7 | 9): void {
  const pcrs = new Map(replayBanks(decodeEventLog(m.eventLog())).get(bank) ?? []);
  for (let i = 0; i <= last; i++) if (!pcrs.has(i)) pcrs.set(i, filled(sha(bank, utf8('')).length, 0));
  const [first = ''] = fromUtf8(m.imaList('ascii')).split('\n');
  expect(first).toContain(`${bank}:${toHex(bootAggregate(bank, pcrs, last) ?? filled(0, 0))} boot_aggregate`);
}

const typesOf = (m: Machine): [number, string][] =>
  decodeEventLog(m.eventLog()).events.map((e) => [e.pcr, eventTypeName(e.type)]);
const keysOn = (m: Machine, ring: string): string[] => {
  const serial = m.keys.named(ring)?.serial ?? 0;
  return [...m.keys.members(serial)].map((k) => k.description);
};

const MOK: UefiSpec = {
  db: [{ cert: cert('ca') }, { sha256: filled(32, 7) }],
  dbx: [{ sha256: filled(32, 8) }, { certSha256: filled(32, 9) }],
  mok: [{ cert: cert('mok') }],
  mokx: [{ sha256: filled(32, 10) }],
  sbatLevel: 'sbat,1,2023012900',
};

describe('a UEFI boot', () => {
  it.each([
    ['nothing declared', {}],
    ['Secure Boot off', { secureBoot: false }],
    ['shim with MOK lists', { ...MOK, mokTrusted: true }],
    ['GRUB and the stub', { ...MOK, loader: 'grub-stub', grubCommands: ['set pager=1', 'load_env'] }],
    ['the stub alone', { loader: 'stub', bootOptions: [{ description: 'other', path: '\\x.efi' }] }],
    ['TPM2_Startup from locality 3', { startupLocality: 3 }],
  ] as const satisfies readonly (readonly [string, UefiSpec])[])(
    '%s: the log leads to the registers',
    (_, uefi) => {
      const m = boot({ uefi });
      expect(decodeEventLog(m.eventLog()).problem).toBeNull();
      expectReplay(m);
      expectAggregate(m, 'sha256', 9);
      expect(m.securityfs('tpm0/binary_bios_measurements')).toEqual(m.eventLog());
    },
  );

  it('measures what shim measures, in its order', () => {
    const { events } = decodeEventLog(boot({ uefi: { ...MOK, mokTrusted: true } }).eventLog());
    const told = events
      .filter((e) => e.pcr === 14 || e.type === EVENT_TYPES.EV_EFI_VARIABLE_AUTHORITY)
      .map(
        (e) => `${e.pcr} ${e.pcr === 14 ? fromUtf8(e.event).replace('\0', '') : readVariable(e.event)?.name}`,
      );
    expect(told).toEqual([
      '7 db',
      '14 MokList',
      '14 MokListX',
      '7 SbatLevel',
      '7 MokListTrusted',
      '14 MokListTrusted',
    ]);
    const trusted = events.findLast((e) => e.pcr === 14);
    expect(trusted?.digests[1]?.digest).toEqual(sha('sha256', Uint8Array.of(1)));
  });

  it('gives the stub its options and the initramfs in PCR 9', () => {
    const m = boot({ uefi: { loader: 'stub', images: { initrd: utf8('ram disk') } } });
    expect(typesOf(m).filter(([pcr]) => pcr === 8 || pcr === 9)).toEqual([
      [9, 'EV_EVENT_TAG'],
      [9, 'EV_EVENT_TAG'],
    ]);
    const [options, initrd] = decodeEventLog(m.eventLog()).events.filter((e) => e.pcr === 9);
    expect(eventText(options as NonNullable<typeof options>)).toBe(
      'tag 0x8f3b22ed, "LOADED_IMAGE::LoadOptions"',
    );
    expect(initrd?.digests[1]?.digest).toEqual(sha('sha256', utf8('ram disk')));
  });

  it('tells the start value of PCR 0 in the log, which is not extended', () => {
    const m = boot({ uefi: { startupLocality: 3 } });
    const log = decodeEventLog(m.eventLog());
    expect([log.startupLocality, log.events[0]?.type]).toEqual([3, EVENT_TYPES.EV_NO_ACTION]);
    expect(toHex(m.pcr('sha1', 0) ?? filled(0, 0))).not.toBe(
      toHex(boot({ uefi: {} }).pcr('sha1', 0) ?? filled(0, 0)),
    );
  });

  it('writes the old form of the log with SHA-1 digests', () => {
    const m = boot({ uefi: { log: 'sha1' } });
    const log = decodeEventLog(m.eventLog());
    expect([log.legacy, log.problem, log.events.length]).toEqual([
      true,
      null,
      decodeEventLog(boot({ uefi: {} }).eventLog()).events.length,
    ]);
    expectReplay(m);
  });

  it('hashes a PE image without checksum and certificate table', () => {
    const image = new Uint8Array(0x200);
    const v = new DataView(image.buffer);
    image.set(latin1('MZ'));
    v.setUint32(0x3c, 0x80, true);
    image.set(latin1('PE\0\0'), 0x80);
    v.setUint16(0x80 + 24, 0x20b, true);
    v.setUint32(0x80 + 24 + 108, 16, true);
    const unsigned = imageParts(image);
    expect(unsigned.length).toBe(0x200 - 4 - 8);
    v.setUint32(0x80 + 24 + 64, 0xdeadbeef, true);
    v.setUint32(0x80 + 24 + 112 + 32, 0x200, true);
    v.setUint32(0x80 + 24 + 112 + 36, 16, true);
    expect(imageParts(concat(image, filled(16, 1)))).toEqual(unsigned);
    expect(imageParts(utf8('MZ'))).toEqual(utf8('MZ'));
  });
});

describe('certificates of the firmware', () => {
  it('db goes to .platform, dbx to .blacklist, MOK to .platform unless the owner trusts it', () => {
    const m = boot({ uefi: MOK });
    expect(keysOn(m, '.platform').map((d) => d.split(':')[0])).toEqual(['ca', 'mok']);
    expect(keysOn(m, '.machine')).toEqual([]);
    expect(keysOn(m, '.blacklist')).toEqual([
      `bin:${'08'.repeat(32)}`,
      `tbs:${'09'.repeat(32)}${'00'.repeat(16)}`,
      `bin:${'0a'.repeat(32)}`,
    ]);
  });

  it('MOK goes to .machine, which the secondary keyring holds, with MokListTrusted', () => {
    const m = boot({ uefi: { ...MOK, mokTrusted: true } });
    expect(keysOn(m, '.machine').map((d) => d.split(':')[0])).toEqual(['mok']);
    const trusted = (x: Machine): boolean =>
      (x.keys.named('.secondary_trusted_keys')?.links ?? []).includes(x.keys.named('.machine')?.serial ?? -1);
    expect([trusted(m), trusted(boot({ uefi: MOK })), trusted(Machine.boot({}))]).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('shim’s lists count under Secure Boot only', () => {
    const m = boot({ uefi: { ...MOK, secureBoot: false, mokTrusted: true } });
    expect(keysOn(m, '.platform').map((d) => d.split(':')[0])).toEqual(['ca']);
    expect(keysOn(m, '.machine')).toEqual([]);
  });

  it('a MOK that may not be on .machine falls back to .platform', () => {
    const config = { CONFIG_INTEGRITY_CA_MACHINE_KEYRING: 'y' };
    const uefi = { ...MOK, mok: [{ cert: cert('mok') }, { cert: cert('ca') }], mokTrusted: true };
    const m = boot({ uefi }, config);
    expect(keysOn(m, '.machine').map((d) => d.split(':')[0])).toEqual(['ca']);
    expect(keysOn(m, '.platform').map((d) => d.split(':')[0])).toEqual(['ca', 'mok']);
    const max = boot({ uefi }, { ...config, CONFIG_INTEGRITY_CA_MACHINE_KEYRING_MAX: 'y' });
    expect(keysOn(max, '.machine')).toEqual([]);
  });

  it('a certificate in dbx is a revoked key with CONFIG_SYSTEM_REVOCATION_LIST', () => {
    const uefi = { dbx: [{ cert: cert('revoked') }] };
    expect(keysOn(boot({ uefi }), '.blacklist')).toEqual([]);
    const m = boot({ uefi }, { CONFIG_SYSTEM_REVOCATION_LIST: 'y' });
    expect(keysOn(m, '.blacklist').map((d) => d.split(':')[0])).toEqual(['revoked']);
  });

  it('stay away without CONFIG_LOAD_UEFI_KEYS', () => {
    const m = boot({ uefi: MOK }, { CONFIG_LOAD_UEFI_KEYS: 'n' });
    expect([keysOn(m, '.platform'), keysOn(m, '.blacklist')]).toEqual([[], []]);
  });

  it('arch rules ask the variable SecureBoot', () => {
    const policy = (secureBoot: boolean): string => {
      const m = boot({ uefi: { secureBoot } }, { CONFIG_IMA_ARCH_POLICY: 'y' });
      return String(read(m.sys(1), '/sys/kernel/security/ima/policy'));
    };
    expect([
      policy(true).includes('KEXEC_KERNEL_CHECK'),
      policy(false).includes('KEXEC_KERNEL_CHECK'),
    ]).toEqual([true, false]);
  });
});

const ALGS = LOG_ALGS.filter((a) => a.name === 'sha256' || a.name === 'sha384');
const record = (pcr: number, type: number, data: Uint8Array) => ({
  pcr,
  type,
  digests: ALGS.map((a) => ({ algId: a.algId, digest: sha(a.name, data) })),
  event: data,
});
const LOCALITY = (n: number) =>
  record(0, EVENT_TYPES.EV_NO_ACTION, Uint8Array.from([...latin1('StartupLocality\0'), n]));
const DB = variableData('d719b2cb-3d3a-4596-a3bc-dad00e67656f', 'db', new Uint8Array(0));
const RECORDS = [
  record(0, EVENT_TYPES.EV_NO_ACTION, utf8('vendor data that nobody extends')),
  record(0, EVENT_TYPES.EV_S_CRTM_VERSION, utf8('1.0')),
  record(7, EVENT_TYPES.EV_EFI_VARIABLE_DRIVER_CONFIG, DB),
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((pcr) => record(pcr, EVENT_TYPES.EV_SEPARATOR, filled(4, 0))),
];

describe('the event log of a real machine', () => {
  it('gives registers, boot_aggregate and, byte for byte, the node of the log', () => {
    const eventlog = encodeEventLog(ALGS, RECORDS);
    const m = boot({ eventlog });
    expect(m.banks).toEqual(['sha256', 'sha384']);
    expectReplay(m);
    expectAggregate(m, 'sha256', 9);
    expect(m.securityfs('tpm0/binary_bios_measurements')).toEqual(eventlog);
  });

  it.each([0, 3, 4])('begins PCR 0 with locality %s', (locality) => {
    const m = boot({ eventlog: encodeEventLog(ALGS, [LOCALITY(locality), ...RECORDS]) });
    expectReplay(m);
  });

  it('begins PCR 0 with 4 where hardware measured first', () => {
    const hcrtm = record(0, EVENT_TYPES.EV_EFI_HCRTM_EVENT, utf8('HCRTM'));
    const m = boot({ eventlog: encodeEventLog(ALGS, [hcrtm, ...RECORDS]) });
    expectReplay(m);
    expect(m.pcr('sha256', 0)).not.toEqual(
      boot({ eventlog: encodeEventLog(ALGS, RECORDS) }).pcr('sha256', 0),
    );
  });

  it('in the old form goes into the sha1 bank', () => {
    const records = RECORDS.map((e) => ({ ...e, digests: [{ algId: 4, digest: sha('sha1', e.event) }] }));
    const eventlog = encodeOldEventLog(records.slice(1));
    const m = boot({ eventlog });
    expect(m.banks).toEqual(['sha1']);
    expectReplay(m);
    expect(m.eventLog()).toEqual(eventlog);
  });

  it('is measured again at the next power-on', () => {
    const eventlog = encodeEventLog(ALGS, RECORDS);
    const m = boot({ eventlog });
    const before = m.pcr('sha256', 0);
    expect(m.power.reset('orderly')).toBe(0);
    expect([m.pcr('sha256', 0), m.eventLog()]).toEqual([before, eventlog]);
  });

  it.each([
    ['empty', new Uint8Array(0), /empty/, 0],
    ['cut', encodeEventLog(ALGS, RECORDS).subarray(0, 400), /cut off/, 380],
    ['a header alone', encodeEventLog(ALGS, []), /no record/, 0],
    ['register 24', encodeEventLog(ALGS, [record(24, 4, filled(4, 0))]), /names register 24/, 69],
    ['register 17', encodeEventLog(ALGS, [record(17, 4, filled(4, 0))]), /firmware cannot extend/, 69],
    [
      'an unknown algorithm',
      encodeEventLog(
        [{ algId: 0x27, size: 32 }],
        [{ ...(RECORDS[1] as (typeof RECORDS)[number]), digests: [] }],
      ),
      /unknown algorithms/,
      32,
    ],
    [
      'a wrong size',
      encodeEventLog(
        [{ algId: 0xb, size: 20 }],
        [{ ...(RECORDS[1] as (typeof RECORDS)[number]), digests: [] }],
      ),
      /20 bytes/,
      32,
    ],
    ['locality 7', encodeEventLog(ALGS, [LOCALITY(7), ...RECORDS]), /locality 7/, 0],
  ])('%s is a mistake with its byte', (_, bytes, message, offset) => {
    const wrong = logMistake(bytes);
    expect(wrong?.message).toMatch(message);
    if (offset !== 380) expect(wrong?.offset).toBe(offset);
    else expect(wrong?.offset).toBeGreaterThan(70);
  });
});
