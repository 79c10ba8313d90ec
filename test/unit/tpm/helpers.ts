// Frames and TPMs for the tests of the TPM room.

import '../../../src/crypto/auto.ts';
import { fromHex, toHex } from '../../../src/base/bytes.ts';
import type { Trace } from '../../../src/base/trace.ts';
import { type ManufactureOptions, manufacture } from '../../../src/tpm/manufacture.ts';
import { responseCodeOf, Tpm } from '../../../src/tpm/tpm.ts';

export const PW = '00000009 40000009 0000 00 0000';

/** A frame from its command code and the hex of what follows the header; `sessions` chooses the tag. */
export function frame(code: number, body: string, sessions = false): Uint8Array {
  const rest = fromHex(body.replace(/\s/g, ''));
  const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');
  return fromHex(`${sessions ? '8002' : '8001'}${hex(10 + rest.length, 8)}${hex(code, 8)}${toHex(rest)}`);
}

/** A clock that tests move by hand. */
export class TestClock {
  ms = 0;
  uptimeMs(): number {
    return this.ms;
  }
}

/** A TPM after TPM2_Startup(CLEAR), or only powered when `started` is false. */
export function newTpm(
  options: Partial<ManufactureOptions> & { clock?: TestClock; started?: boolean; trace?: Trace } = {},
): Tpm {
  const clock = options.clock ?? new TestClock();
  const env = options.trace === undefined ? { clock } : { clock, trace: options.trace };
  const tpm = new Tpm(manufacture({ seed: 'test', ...options }), env);
  tpm.powerOn();
  if (options.started !== false) tpm.execute(frame(0x144, '0000'));
  return tpm;
}

export function run(tpm: Tpm, code: number, body: string, sessions = false, locality = 0): string {
  return toHex(tpm.execute(frame(code, body, sessions), locality));
}

export function rcOf(tpm: Tpm, code: number, body: string, sessions = false, locality = 0): number {
  return responseCodeOf(tpm.execute(frame(code, body, sessions), locality));
}
