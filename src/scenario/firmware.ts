// The `firmware` part of a scenario as the machine takes it. Certificates that are none, hashes of a wrong
// length, unknown kinds of events and event logs that cannot be measured again are mistakes with a place.

import { EMPTY, fromLatin1, toHex } from '../base/bytes.ts';
import { didYouMean } from '../base/diagnostic.ts';
import { pemDecode } from '../crypto/pem.ts';
import { crypto, digestSize, type HashName } from '../crypto/provider.ts';
import { x509CertParse } from '../crypto/x509.ts';
import type { FirmwareSpec, SignatureEntry, UefiSpec } from '../kernel/api.ts';
import { EVENT_TYPES, eventTypeNumber } from '../kernel/eventlog.ts';
import { logMistake } from '../kernel/real-log.ts';
import { imageParts } from '../kernel/uefi.ts';
import type { Builder } from './build.ts';
import { looseHex } from './data.ts';
import type { DataForm } from './schema-data.ts';
import type { FirmwareForm, SignatureEntryForm, UefiForm } from './schema-firmware.ts';
import type { PathStep } from './source.ts';

type Path = readonly PathStep[];

/** A certificate in DER, from DER or PEM. */
export function certificateOf(b: Builder, form: DataForm, at: Path): Uint8Array {
  const bytes = b.bytes(form, at);
  const text = fromLatin1(bytes);
  const pem = pemDecode(text).find((block) => block.label === 'CERTIFICATE');
  const der = text.includes('-----BEGIN') ? pem?.bytes : bytes;
  if (der === undefined || der[0] !== 0x30)
    b.report(at, 'scenario.certificate', 'this is no certificate in DER or PEM form');
  return der ?? EMPTY;
}

function signatureEntry(b: Builder, form: SignatureEntryForm, at: Path): SignatureEntry {
  if (typeof form === 'object' && 'sha256' in form) {
    const sha256 = looseHex(form.sha256);
    if (sha256.length !== 32)
      b.report([...at, 'sha256'], 'scenario.digest', `a sha256 digest has 32 bytes, not ${sha256.length}`);
    return { sha256 };
  }
  if (typeof form === 'object' && 'sha256_of' in form)
    return { sha256: crypto().hash('sha256', imageParts(b.bytes(form.sha256_of, [...at, 'sha256_of']))) };
  if (typeof form === 'object' && 'cert_sha256_of' in form) {
    const place = [...at, 'cert_sha256_of'];
    const parsed = x509CertParse(certificateOf(b, form.cert_sha256_of, place));
    if (!parsed.ok) b.report(place, 'scenario.certificate', 'this certificate cannot be read');
    return { certSha256: crypto().hash('sha256', parsed.ok ? parsed.value.tbs : EMPTY) };
  }
  return { cert: certificateOf(b, form, at) };
}

const DATABASES = ['pk', 'kek', 'db', 'dbx', 'mok', 'mokx'] as const;
const IMAGES = ['shim', 'grub', 'kernel', 'initrd'] as const;

function checkUefi(b: Builder, form: UefiForm, at: Path): void {
  if (form.loader !== 'stub') return;
  const ofShim = ['mok', 'mokx', 'mok_trusted', 'sbat_level', 'grub_commands'] as const;
  for (const member of ofShim) {
    if (form[member] === undefined) continue;
    const help = 'take it away, or say `loader: grub-stub`';
    b.reportKey([...at, member], 'scenario.firmware', `the loader \`stub\` has no shim and no GRUB`, help);
  }
}

function uefiSpec(b: Builder, form: UefiForm, at: Path): UefiSpec {
  checkUefi(b, form, at);
  const databases: { [name in (typeof DATABASES)[number]]?: readonly SignatureEntry[] } = {};
  for (const name of DATABASES) {
    const entries = form[name]?.map((e, i) => signatureEntry(b, e, [...at, name, i]));
    if (entries !== undefined) databases[name] = entries;
  }
  const images: { [name in (typeof IMAGES)[number]]?: Uint8Array } = {};
  for (const name of IMAGES) {
    const image = form.images?.[name];
    if (image !== undefined) images[name] = b.bytes(image, [...at, 'images', name]);
  }
  const { secure_boot, mok_trusted, sbat_level, boot_options, loader, grub_commands, log } = form;
  return {
    ...databases,
    images,
    ...(secure_boot === undefined ? {} : { secureBoot: secure_boot }),
    ...(mok_trusted === undefined ? {} : { mokTrusted: mok_trusted }),
    ...(sbat_level === undefined ? {} : { sbatLevel: sbat_level }),
    ...(boot_options === undefined ? {} : { bootOptions: boot_options }),
    ...(loader === undefined ? {} : { loader }),
    ...(grub_commands === undefined ? {} : { grubCommands: grub_commands }),
    ...(form.startup_locality === undefined ? {} : { startupLocality: form.startup_locality }),
    ...(log === undefined ? {} : { log }),
  };
}

type EventForms = Extract<FirmwareForm, { readonly events: unknown }>['events'];

function eventSpecs(b: Builder, forms: EventForms, at: Path): FirmwareSpec {
  const names = Object.keys(EVENT_TYPES);
  const events = forms.map((e, i) => {
    const place = [...at, i];
    if (eventTypeNumber(e.type) === null) {
      const help = didYouMean(e.type, names) ?? `kinds: ${names.slice(0, 6).join(', ')} ...`;
      b.report([...place, 'type'], 'scenario.event', `unknown kind of event \`${e.type}\``, help);
    }
    return {
      pcr: e.pcr,
      type: e.type,
      data: b.bytes(e.data, [...place, 'data']),
      ...(e.event === undefined ? {} : { event: b.bytes(e.event, [...place, 'event']) }),
    };
  });
  return { events };
}

type PcrForms = Extract<FirmwareForm, { readonly pcrs: unknown }>['pcrs'];

function presetSpec(b: Builder, forms: PcrForms, at: Path): FirmwareSpec {
  const pcrs: Record<string, Record<string, string>> = {};
  for (const [bank, values] of Object.entries(forms)) {
    const registers: Record<string, string> = {};
    for (const [number, hex] of Object.entries(values ?? {})) {
      const place = [...at, bank, number];
      if (Number(number) > 23) b.reportKey(place, 'scenario.pcr', `there is no PCR ${number}`);
      const value = looseHex(hex);
      const size = digestSize(bank as HashName);
      if (size !== value.length)
        b.report(place, 'scenario.digest', `a ${bank} register has ${size} bytes, not ${value.length}`);
      registers[number] = toHex(value);
    }
    pcrs[bank] = registers;
  }
  return { pcrs };
}

/** What firmware and boot loader do at a power-on. */
export function firmwareSpec(b: Builder, form: FirmwareForm, at: Path): FirmwareSpec {
  if ('events' in form) return eventSpecs(b, form.events, [...at, 'events']);
  if ('uefi' in form) return { uefi: uefiSpec(b, form.uefi, [...at, 'uefi']) };
  if ('pcrs' in form) return presetSpec(b, form.pcrs, [...at, 'pcrs']);
  const place = [...at, 'eventlog'];
  const before = b.diagnostics.length;
  const eventlog = b.bytes(form.eventlog, place);
  const wrong = b.diagnostics.length > before ? null : logMistake(eventlog);
  if (wrong !== null)
    b.report(place, 'scenario.eventlog', `byte ${wrong.offset}: ${wrong.message}`, wrong.help);
  return { eventlog };
}
