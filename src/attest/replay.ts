// Folds a measurement list into registers, bank by bank, and finds the record after which a register had the
// value in question. The digests of the list's own bank are taken as they stand where another bank, computed from
// the data, binds them; else they are computed too and a record that lies about itself is found.

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

/** One register of one bank. */
interface Register {
  value: Uint8Array;
  readonly target: Uint8Array | null;
  /** Number of records after which the value was the target; null when it never was. */
  matched: number | null;
}

interface Bank {
  readonly name: HashName;
  readonly size: number;
  readonly ones: Uint8Array;
  /** Register and digest side by side. */
  readonly block: Uint8Array;
  readonly registers: Map<number, Register>;
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

export class ListReplay {
  readonly #banks: readonly Bank[];
  readonly #options: ReplayOptions;
  #own: HashName | null = null;
  #count = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#banks = options.banks.map((name) => {
      const size = digestSize(name);
      const bank = { name, size, ones: new Uint8Array(size).fill(0xff), block: new Uint8Array(2 * size) };
      return { ...bank, registers: new Map<number, Register>() };
    });
  }

  get count(): number {
    return this.#count;
  }

  #register(bank: Bank, pcr: number): Register {
    let register = bank.registers.get(pcr);
    if (register === undefined) {
      const value = this.#options.start.get(bank.name)?.get(pcr) ?? new Uint8Array(bank.size);
      const target = this.#options.targets.get(bank.name)?.get(pcr) ?? null;
      const matched = target !== null && equalBytes(value, target) ? this.#count : null;
      register = { value, target, matched };
      bank.registers.set(pcr, register);
    }
    return register;
  }

  /** The digest that a bank was extended with; null when the record does not tell. */
  #digest(bank: Bank, record: ListRecord, violation: boolean): Uint8Array | null {
    if (violation) return bank.ones;
    if (this.#options.padded.has(bank.name)) {
      const padded = new Uint8Array(bank.size);
      padded.set(record.digest.subarray(0, bank.size));
      return padded;
    }
    if (bank.name === this.#own) return record.digest;
    return record.data === null ? null : crypto().hash(bank.name, record.data);
  }

  /** Whether the digest in the record is that of its data (true when nobody can tell or nobody asked). */
  add(record: ListRecord): boolean {
    if (this.#own === null) this.#own = bankOfSize(record.digest.length);
    const violation = isViolation(record);
    this.#count++;
    for (const bank of this.#banks) {
      const digest = this.#digest(bank, record, violation);
      if (digest === null) continue;
      const register = this.#register(bank, record.pcr);
      bank.block.set(register.value);
      bank.block.set(digest, bank.size);
      register.value = crypto().hash(bank.name, bank.block);
      const { target, value } = register;
      if (target !== null && target[0] === value[0] && equalBytes(target, value))
        register.matched = this.#count;
    }
    if (!this.#options.thorough || violation || record.data === null || this.#own === null) return true;
    return equalBytes(crypto().hash(this.#own, record.data), record.digest);
  }

  /** Value of a register now. */
  value(bank: HashName, pcr: number): Uint8Array | undefined {
    return this.#banks.find((b) => b.name === bank)?.registers.get(pcr)?.value;
  }

  /** Registers that a record extended, and those asked for besides. */
  outcomes(asked: readonly number[]): RegisterOutcome[] {
    return this.#banks.flatMap((bank) => {
      for (const pcr of asked) this.#register(bank, pcr);
      const pcrs = [...bank.registers.keys()].sort((a, b) => a - b);
      return pcrs.map((pcr) => {
        const { value, target, matched } = this.#register(bank, pcr);
        return { bank: bank.name, pcr, value, target, matched };
      });
    });
  }
}
