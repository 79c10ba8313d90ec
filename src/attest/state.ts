// What a verifier remembers of a machine from one visit to the next: the counters of its TPM, its attestation
// key, how far its list was read and the registers at that point. Plain JSON.

import * as z from 'zod';
import { fromHex, toHex } from '../base/bytes.ts';
import { type HashName, isHashName } from '../crypto/provider.ts';
import { UnreadableError } from './verdict.ts';

/** How far a list was read. */
export interface ListVisit {
  readonly records: number;
  /** Template digest of its first record, as hexadecimal text. */
  readonly first: string;
  /** Bank -> register -> value. */
  readonly registers: ReadonlyMap<HashName, ReadonlyMap<number, Uint8Array>>;
}

export interface Counters {
  readonly clock: bigint;
  readonly resetCount: number;
  readonly restartCount: number;
  readonly firmwareVersion: bigint;
}

export interface Visit {
  /** Fingerprint of the attestation key; null when there was no quote. */
  readonly key: string | null;
  readonly counters: Counters | null;
  readonly list: ListVisit | null;
}

const hex = z.string().regex(/^(?:[0-9a-f]{2})*$/);
const visitSchema = z.object({
  schemaVersion: z.literal(1),
  key: hex.nullable(),
  counters: z
    .object({
      clock: z.string().regex(/^\d+$/),
      resetCount: z.int(),
      restartCount: z.int(),
      firmwareVersion: z.string().regex(/^\d+$/),
    })
    .nullable(),
  list: z
    .object({
      records: z.int().min(0),
      first: hex,
      registers: z.record(z.string(), z.record(z.string(), hex)),
    })
    .nullable(),
});

/** Reads the JSON of an earlier visit. */
export function readVisit(text: string): Visit {
  const fail = (message: string): UnreadableError =>
    new UnreadableError({ artefact: 'state', byte: 0, record: null, message });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (e) {
    throw fail((e as Error).message);
  }
  const parsed = visitSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw fail(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`);
  }
  const { key, counters, list } = parsed.data;
  const banks = Object.entries(list?.registers ?? {}).flatMap(([bank, pcrs]) => {
    if (!isHashName(bank)) return [];
    const values = new Map(Object.entries(pcrs).map(([pcr, value]) => [Number(pcr), fromHex(value)]));
    return [[bank, values] as const];
  });
  return {
    key,
    counters:
      counters === null
        ? null
        : { ...counters, clock: BigInt(counters.clock), firmwareVersion: BigInt(counters.firmwareVersion) },
    list: list === null ? null : { records: list.records, first: list.first, registers: new Map(banks) },
  };
}

export function visitJson(visit: Visit): string {
  const { key, counters, list } = visit;
  const banks = [...(list?.registers ?? [])].map(([bank, pcrs]) => [
    bank,
    Object.fromEntries([...pcrs].map(([pcr, value]) => [pcr, toHex(value)])),
  ]);
  const json = {
    schemaVersion: 1,
    key,
    counters:
      counters === null
        ? null
        : {
            clock: String(counters.clock),
            resetCount: counters.resetCount,
            restartCount: counters.restartCount,
            firmwareVersion: String(counters.firmwareVersion),
          },
    list: list === null ? null : { ...list, registers: Object.fromEntries(banks) },
  };
  return `${JSON.stringify(json, null, 1)}\n`;
}
