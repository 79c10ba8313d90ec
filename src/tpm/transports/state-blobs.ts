// The state blobs of swtpm's control channel: what `swtpm_ioctl --save` reads and `--load` writes, and
// what STORE_VOLATILE keeps for the next INIT. A permanent blob holds a TPM whose power is off, a volatile
// one holds it as it runs; blobs are read while the TPM runs and written while it is stopped.

import { EMPTY, fromUtf8, utf8 } from '../../base/bytes.ts';
import { Reader, Writer } from '../../base/codec.ts';
import type { TpmState } from '../state.ts';
import type { Tpm } from '../tpm.ts';
import { parseState, stateText } from './state-file.ts';

const BAD_PARAMETER = 0x03;
const NOT_NOW = 0x0a;
/** There is no such state. */
const RETRY = 0x800;

const PERMANENT = 1;
const VOLATILE = 2;
const SAVED = 3;

/** INIT drops the kept volatile state once it has been resumed from. */
const DELETE_VOLATILE = 1;

/** The state as it is found by a process that starts now: the time between was no time of the TPM. */
export function foundAt(state: TpmState, nowMs: number): TpmState {
  return { ...state, clock: { ...state.clock, seenMs: nowMs } };
}

/** What the control channel keeps between two starts of the TPM. */
export class StateBlobs {
  readonly #tpm: Tpm;
  #permanent: TpmState | undefined;
  #volatile: TpmState | undefined;

  constructor(tpm: Tpm) {
    this.#tpm = tpm;
  }

  get #running(): boolean {
    return this.#tpm.state.life !== 'off';
  }

  /** STORE_VOLATILE: the next INIT resumes from here. */
  store(): number {
    if (!this.#running) return NOT_NOW;
    this.#volatile = this.#tpm.state;
    return 0;
  }

  /** INIT: power off and on, from the blobs when there are some. */
  init(flags: number): void {
    const tpm = this.#tpm;
    tpm.powerOff();
    const now = tpm.env.clock.uptimeMs();
    if (this.#permanent !== undefined) tpm.state = foundAt(this.#permanent, now);
    this.#permanent = undefined;
    tpm.powerOff();
    tpm.powerOn();
    if (this.#volatile === undefined) return;
    const { config, nv } = tpm.state;
    tpm.state = foundAt({ ...this.#volatile, config, nv }, now);
    if ((flags & DELETE_VOLATILE) !== 0) this.#volatile = undefined;
  }

  /** GET_STATEBLOB: flags, kind and offset; the answer has what is left from the offset on. */
  get(body: Uint8Array): Uint8Array {
    const r = new Reader(body, 'be');
    r.u32();
    const kind = r.u32();
    const offset = r.u32();
    const w = new Writer('be');
    if (!this.#running) return w.u32(NOT_NOW).finish();
    const known = kind === PERMANENT || kind === VOLATILE;
    const blob = known ? utf8(stateText(this.#stateOf(kind))) : EMPTY;
    const rest = blob.subarray(Math.min(offset, blob.length));
    return w
      .u32(known ? 0 : RETRY)
      .u32(0)
      .u32(rest.length)
      .u32(rest.length)
      .bytes(rest)
      .finish();
  }

  #stateOf(kind: number): TpmState {
    return kind === VOLATILE ? this.#tpm.state : this.#tpm.withoutPower();
  }

  /** SET_STATEBLOB: flags, kind, length and the blob, which the next INIT starts from. */
  set(body: Uint8Array): number {
    const r = new Reader(body, 'be');
    r.u32();
    const kind = r.u32();
    if (this.#running) return NOT_NOW;
    if (kind === SAVED) return 0;
    if (kind !== PERMANENT && kind !== VOLATILE) return BAD_PARAMETER;
    const parsed = parseState(fromUtf8(body.subarray(12)));
    if (parsed.kind === 'bad') return BAD_PARAMETER;
    if ((parsed.state.life === 'off') !== (kind === PERMANENT)) return BAD_PARAMETER;
    if (kind === PERMANENT) this.#permanent = parsed.state;
    else this.#volatile = parsed.state;
    return 0;
  }
}
