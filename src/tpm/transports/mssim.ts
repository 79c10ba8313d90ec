// The protocol of the Microsoft/TCG simulator: commands with locality and length on port N, platform signals
// on N + 1. Left out: cancelling, key cache, alternative results.

import { createServer, type Server, type Socket } from 'node:net';
import { concat } from '../../base/bytes.ts';
import { Writer } from '../../base/codec.ts';
import type { TransportHost } from './swtpm.ts';

const SEND_COMMAND = 8;
const REMOTE_HANDSHAKE = 15;
const SESSION_END = 20;
const STOP = 21;

/** A step over the octets that came so far: how many it took, or null when more must come. */
type Step = (bytes: Uint8Array, socket: Socket) => number | null;

function protocolServer(step: Step): Server {
  return createServer({ noDelay: true }, (socket) => {
    let pending: Uint8Array = new Uint8Array(0);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      pending = concat(pending, chunk);
      while (pending.length >= 4) {
        const taken = step(pending, socket);
        if (taken === null) return;
        pending = pending.subarray(taken);
      }
    });
  });
}

const u32At = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
const ZERO = new Uint8Array(4);

/** Commands on port N. */
export function mssimCommandServer(host: TransportHost): Server {
  const { tpm } = host;
  return protocolServer((bytes, socket) => {
    const code = u32At(bytes, 0);
    if (code === SEND_COMMAND) {
      if (bytes.length < 9) return null;
      const length = u32At(bytes, 5);
      if (bytes.length < 9 + length) return null;
      const off = tpm.state.life === 'off';
      const frame = bytes.subarray(9, 9 + length);
      const response = off ? new Uint8Array(0) : tpm.execute(frame, bytes[4] as number);
      host.changed();
      socket.write(new Writer('be').u32(response.length).bytes(response).u32(0).finish());
      return 9 + length;
    }
    if (code === 7) {
      if (bytes.length < 8) return null;
      const length = u32At(bytes, 4);
      if (bytes.length < 8 + length) return null;
      tpm.hashData(bytes.subarray(8, 8 + length));
      socket.write(ZERO);
      return 8 + length;
    }
    if (code === 5 || code === 6) {
      if (code === 5) tpm.hashStart();
      else tpm.hashEnd();
      host.changed();
      socket.write(ZERO);
      return 4;
    }
    if (code === REMOTE_HANDSHAKE) {
      if (bytes.length < 8) return null;
      socket.write(new Writer('be').u32(1).u32(1).u32(0).finish());
      return 8;
    }
    socket.end();
    if (code === STOP) host.shutdown();
    return bytes.length;
  });
}

/** Platform signals on port N + 1. */
export function mssimPlatformServer(host: TransportHost): Server {
  const { tpm } = host;
  const signals: ReadonlyMap<number, () => void> = new Map([
    [1, () => tpm.powerOn()],
    [2, () => tpm.powerOff()],
    [3, () => tpm.setPhysicalPresence(true)],
    [4, () => tpm.setPhysicalPresence(false)],
    [9, () => undefined],
    [10, () => undefined],
    [11, () => undefined],
    [12, () => undefined],
    [13, () => undefined],
    [14, () => undefined],
    [17, () => restart(tpm)],
    [18, () => restart(tpm)],
    [30, () => tpm.fail('failure mode was requested by the platform')],
  ]);
  return protocolServer((bytes, socket) => {
    const code = u32At(bytes, 0);
    const signal = signals.get(code);
    if (signal === undefined) {
      if (code === SESSION_END || code === STOP) {
        socket.end();
        if (code === STOP) host.shutdown();
      } else socket.end(new Writer('be').u32(1).finish());
      return bytes.length;
    }
    signal();
    host.changed();
    socket.write(ZERO);
    return 4;
  });
}

function restart(tpm: TransportHost['tpm']): void {
  tpm.powerOff();
  tpm.powerOn();
}
