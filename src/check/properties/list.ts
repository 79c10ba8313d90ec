// Promises about the measurement list: that it replays to PCR 10, and that a verifier who accepts the machine
// is right to do so. The verifier here knows the contents that the owner installed, gets whatever list the
// attacker hands in, and asks the TPM for PCR 10.

import { Set as ImmutableSet } from 'immutable';
import { NO_POLICY } from '../../attest/policy-rules.ts';
import { verify } from '../../attest/verify.ts';
import { concat, equalBytes, filled, toHex } from '../../base/bytes.ts';
import { toArray } from '../../base/list.ts';
import { crypto } from '../../crypto/provider.ts';
import { binaryEntry } from '../../ima/template-show.ts';
import type { TemplateEntry } from '../../ima/types.ts';
import { fileContentHash } from '../../integrity/hash-info.ts';
import type { MachineState } from '../../kernel/rooms.ts';
import { hashAlgOf } from '../../tpm/algorithms.ts';
import { contentName } from '../contents.ts';
import { coverOf } from '../cover.ts';
import type { Transition } from '../node.ts';
import type { Finding, Property } from '../property.ts';
import type { Subject } from '../subject.ts';
import { usesOf } from '../uses.ts';
import { treeOf } from '../view.ts';
import { digestOf, isMeasured, type Measured, measuredIn, NOTHING_MEASURED } from './code.ts';

const PCR = 10;
const BANK = 'sha256';
const SIZE = 32;

const registerOf = (machine: MachineState): Uint8Array | null =>
  machine.tpm?.pcr.find((b) => b.alg === hashAlgOf(BANK))?.pcrs[PCR] ?? null;

const slotOf = (machine: MachineState): number =>
  machine.ima.slots.findIndex((s) => s.bank === hashAlgOf(BANK));

/** What an entry puts into the register: its digest, or all ones for a violation. */
function extension(entry: TemplateEntry, slot: number): Uint8Array | null {
  const digest = entry.digests[slot];
  if (digest === undefined) return null;
  return digest.every((b) => b === 0) ? filled(SIZE, 0xff) : digest;
}

function fold(value: Uint8Array, entries: readonly TemplateEntry[], slot: number): Uint8Array {
  let out = value;
  for (const entry of entries) {
    const digest = entry.pcr === PCR ? extension(entry, slot) : null;
    if (digest !== null) out = crypto().hash(BANK, concat(out, digest));
  }
  return out;
}

/** The list that was folded, and what it comes to. */
interface Folded {
  readonly list: MachineState['ima']['list'];
  readonly boots: number;
  readonly value: Uint8Array;
}

function foldOf(machine: MachineState, before: Folded | null): Folded {
  const { list } = machine.ima;
  const { boots } = machine.kernel;
  if (before !== null && before.list === list) return before;
  const grew = before !== null && before.boots === boots && list.length > before.list.length;
  const from = grew ? before : { list: { length: 0 }, value: filled(SIZE, 0) };
  return { list, boots, value: fold(from.value, toArray(list, from.list.length), slotOf(machine)) };
}

function replayCover(booted: boolean): Pick<Finding, 'cover' | 'suggestion'> {
  if (booted)
    return {
      cover: 'the next kernel began a list of its own, and the registers went on',
      suggestion: 'CONFIG_IMA_KEXEC=y, kexec_file_load(2) only, and room for the list',
    };
  return {
    cover: 'no rule is about the TPM: whoever reaches its device or its reset line changes registers',
    suggestion: 'keep /dev/tpm0 for a trusted process, and let the verifier ask for the reset counters',
  };
}

export const listReplaysToPcr: Property<Folded> = {
  name: 'list-replays-to-pcr',
  sentence: 'The measurement list replays to the value of PCR 10.',
  start: (subject: Subject) => foldOf(subject.start.machine, null),
  watch: (before, t) => {
    const { machine } = t.after;
    if (machine.kernel.power !== 'on' || machine.kernel.panic !== null)
      return { memory: before, finding: null };
    const memory = foldOf(machine, before);
    const register = registerOf(machine);
    const same = machine.tpm === t.before.machine.tpm && memory === before;
    if (same || register === null || equalBytes(register, memory.value)) return { memory, finding: null };
    return {
      memory,
      finding: {
        what: `the list of ${machine.ima.list.length} entries does not replay to PCR 10`,
        event: t.events.findLast((e) => e.kind.startsWith('tpm.')) ?? null,
        object: 'PCR 10',
        ...replayCover(machine.kernel.boots !== t.before.machine.kernel.boots),
        expect: { pcr: { [`${BANK}:${PCR}`]: toHex(register) } },
      },
    };
  },
};

interface Judged {
  readonly measured: Measured;
  /** What was used although a verifier must not like it; null when nothing was. */
  readonly bad: { readonly what: string; readonly cover: string; readonly suggestion: string } | null;
}

const liked = new WeakMap<Subject, ImmutableSet<string>>();

/** Digests that the verifier knows: what was in the list at the start, and what the owner installed. */
function likedBy(subject: Subject): ImmutableSet<string> {
  let digests = liked.get(subject);
  if (digests === undefined) {
    const { machine } = subject.start;
    const { hashAlgo } = machine.ima;
    const files = treeOf(machine).files.filter(
      (f) => subject.trusted.has(contentName(f.content)) || f.role === 'data',
    );
    digests = ImmutableSet([
      ...toArray(machine.ima.list).map(digestOf),
      ...files.flatMap((f) => {
        const digest = fileContentHash(hashAlgo, f.content);
        return digest === null ? [] : [`${hashAlgo}:${toHex(digest)}`];
      }),
    ]);
    liked.set(subject, digests);
  }
  return digests;
}

/** The list that an attacker hands in: entries that the verifier likes, up to the one that replays to the register. */
function forged(
  { machine }: Transition['after'],
  subject: Subject,
  register: Uint8Array,
): TemplateEntry[] | null {
  const digests = likedBy(subject);
  const slot = slotOf(machine);
  const out: TemplateEntry[] = [];
  let value: Uint8Array = filled(SIZE, 0);
  for (const entry of toArray(machine.ima.list)) {
    const digest = extension(entry, slot);
    if (digest === null || digest !== entry.digests[slot] || !digests.has(digestOf(entry))) continue;
    out.push(entry);
    value = fold(value, [entry], slot);
    if (equalBytes(value, register)) return out;
  }
  return null;
}

/** Whether a verifier who knows what was installed accepts the machine, whatever list it is given. */
function accepted(after: Transition['after'], subject: Subject): boolean {
  const register = registerOf(after.machine);
  const entries = register === null ? null : forged(after, subject, register);
  if (register === null || entries === null) return false;
  const { sha1Idx } = after.machine.ima;
  const bytes = concat(...entries.map((e) => binaryEntry(e, sha1Idx)));
  const report = verify({
    list: [() => [bytes]],
    registers: new Map([[BANK, new Map([[PCR, register]])]]),
    quote: null,
    eventlog: null,
    policy: { ...NO_POLICY, allow: new Set(likedBy(subject)), unlisted: 'deny' },
    last: null,
  });
  return report.verdict === 'trusted';
}

function judged(memory: Judged, t: Transition, subject: Subject): Judged {
  const measured = measuredIn(t.after.machine.ima.list, memory.measured);
  const { hashAlgo } = t.after.machine.ima;
  const booted = t.after.machine.kernel.boots !== t.before.machine.kernel.boots;
  const bad = booted ? null : memory.bad;
  if (bad !== null) return { measured, bad };
  const use = usesOf(t).find(
    (u) =>
      u.content === null ||
      !subject.trusted.has(contentName(u.content)) ||
      !isMeasured(measured, u.content, hashAlgo),
  );
  if (use === undefined) return measured === memory.measured ? memory : { measured, bad };
  const known = use.content !== null && subject.trusted.has(contentName(use.content));
  const what = `${use.path} was used as ${use.kind}, ${known ? 'and was never measured' : 'and its bytes are not the owner’s'}`;
  const listed = use.content !== null && isMeasured(measured, use.content, hashAlgo);
  const remade = {
    cover: 'it was measured, and the register was made anew afterwards',
    suggestion: 'remember resetCount and restartCount of the quotes: a TPM that was reset shows in them',
  };
  return { measured, bad: { what, ...(listed ? remade : coverOf(use, t.before, 'measure')) } };
}

export const attestationSound: Property<Judged> = {
  name: 'attestation-sound',
  sentence:
    'When a verifier accepts list and PCR 10, nothing ran that is not on the list, and nothing that the owner did not install.',
  start: (subject: Subject) => ({
    measured: measuredIn(subject.start.machine.ima.list, NOTHING_MEASURED),
    bad: null,
  }),
  watch: (before, t, subject) => {
    const memory = judged(before, t, subject);
    if (memory.bad === null || t.after.machine.kernel.power !== 'on' || !accepted(t.after, subject))
      return { memory, finding: null };
    const { what, cover, suggestion } = memory.bad;
    const finding: Finding = {
      what: `a verifier accepts the machine, although ${what}`,
      event: t.events.findLast((e) => e.kind === 'ima.check') ?? null,
      object: 'the attestation',
      cover,
      suggestion,
      expect: { pcr: { [`${BANK}:${PCR}`]: toHex(registerOf(t.after.machine) ?? new Uint8Array(0)) } },
    };
    return { memory, finding };
  },
  key: ({ bad }) => (bad === null ? '' : 'b'),
};
