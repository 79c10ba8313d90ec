// Folds a measurement list into registers, bank by bank, and finds the record after which a register had
// the value in question. The digests of the list's own bank are taken as they stand where another bank,
// computed from the data, binds them; else they are computed too and a record that lies about itself is
// found.

import { equalBytes } from '../base/bytes.ts';
import { crypto, digestSize, type HashName } from '../crypto/provider.ts';
import type { Registers } from './eventlog.ts';
import { isViolation, type ListRecord } from './record.ts';

export interface ReplayOptions {
  /** Banks to fold. */
  readonly banks: readonly HashName[];
  /** Values before the first record; zero where nothing is given. */
  readonly start: Registers;
  /** Values that are looked for. */
  readonly targets: Registers;
  /** Banks that hold padded sha1 digests. */
  readonly padded: ReadonlySet<HashName>;
  /** Compute the digest of every record also for the list's own bank. */
  readonly thorough: boolean;
}

/** One register of one bank: its value and the digest that it is extended with, side by side. */
interface Register {
  readonly block: Uint8Array;
  readonly target: Uint8Array | null;
  /** Number of records after which the value was the target; null when it never was. */
  matched: number | null;
}

interface Bank {
  readonly name: HashName;
  readonly size: number;
  readonly padded: boolean;
  readonly registers: (Register | undefined)[];
}

/** Bank of a list by the length of its template digests. */
export function bankOfSize(size: number): HashName | null {
  const bySize: Readonly<Record<number, HashName>> = { 20: 'sha1', 32: 'sha256', 48: 'sha384', 64: 'sha512' };
  return bySize[size] ?? null;
}

/** What became of one register. */
export interface RegisterOutcome {
  readonly bank: HashName;
  readonly pcr: number;
  readonly value: Uint8Array;
  readonly target: Uint8Array | null;
  readonly matched: number | null;
}

/** Whether a block begins with a value. */
function startsWith(block: Uint8Array, value: Uint8Array): boolean {
  for (let i = 0; i < value.length; i++) if (block[i] !== value[i]) return false;
  return true;
}

export class ListReplay {
  readonly #banks: readonly Bank[];
  readonly #options: ReplayOptions;
  #own: HashName | null = null;
  #count = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#banks = options.banks.map((name) => {
      return { name, size: digestSize(name), padded: options.padded.has(name), registers: [] };
    });
  }

  get count(): number {
    return this.#count;
  }

  #register(bank: Bank, pcr: number): Register {
    const known = bank.registers[pcr];
    if (known !== undefined) return known;
    const block = new Uint8Array(2 * bank.size);
    const start = this.#options.start.get(bank.name)?.get(pcr);
    if (start !== undefined) block.set(start);
    const target = this.#options.targets.get(bank.name)?.get(pcr) ?? null;
    const matched = target !== null && startsWith(block, target) ? this.#count : null;
    const register = { block, target, matched };
    bank.registers[pcr] = register;
    return register;
  }

  /** Puts the digest that a bank was extended with beside its register; false: the record does not tell. */
  #putDigest(bank: Bank, block: Uint8Array, record: ListRecord, violation: boolean): boolean {
    if (violation) block.fill(0xff, bank.size);
    else if (bank.padded) block.fill(0, bank.size).set(record.digest.subarray(0, bank.size), bank.size);
    else if (bank.name === this.#own) block.set(record.digest, bank.size);
    else if (record.data === null) return false;
    else crypto().hashInto(bank.name, record.data, block, bank.size);
    return true;
  }

  /** Whether the digest in the record is that of its data (true when nobody can tell or nobody asked). */
  add(record: ListRecord): boolean {
    if (this.#own === null) this.#own = bankOfSize(record.digest.length);
    const violation = isViolation(record);
    this.#count++;
    for (const bank of this.#banks) {
      const register = this.#register(bank, record.pcr);
      const { block, target } = register;
      if (!this.#putDigest(bank, block, record, violation)) continue;
      crypto().hashInto(bank.name, block, block, 0);
      if (target !== null && startsWith(block, target)) register.matched = this.#count;
    }
    if (!this.#options.thorough || violation || record.data === null || this.#own === null) return true;
    return equalBytes(crypto().hash(this.#own, record.data), record.digest);
  }

  /** Value of a register now. */
  value(bank: HashName, pcr: number): Uint8Array | undefined {
    const found = this.#banks.find((b) => b.name === bank);
    return found?.registers[pcr]?.block.slice(0, found.size);
  }

  /** Registers that a record extended, and those asked for besides. */
  outcomes(asked: readonly number[]): RegisterOutcome[] {
    return this.#banks.flatMap((bank) => {
      for (const pcr of asked) this.#register(bank, pcr);
      return bank.registers.flatMap((register, pcr) => {
        if (register === undefined) return [];
        const { block, target, matched } = register;
        return [{ bank: bank.name, pcr, value: block.slice(0, bank.size), target, matched }];
      });
    });
  }
}
