// swtpm's TCP transport: bare frames on port N, the control channel on N + 1. Commands of all connections are
// executed one after another. Left out: data descriptors, cancelling.

import { createServer, type Server, type Socket } from 'node:net';
import { concat, toHex, utf8 } from '../../base/bytes.ts';
import { Reader, Writer } from '../../base/codec.ts';
import { MAX_COMMAND_SIZE } from '../constants.ts';
import { be64 } from '../marshal.ts';
import { FIRMWARE_VERSION } from '../properties.ts';
import type { Tpm } from '../tpm.ts';
import { FrameReader } from './framing.ts';
import { StateBlobs } from './state-blobs.ts';

/** How long the rest of a frame may take before the frame is answered as it is. */
const PARTIAL_MS = 250;

export interface TransportHost {
  readonly tpm: Tpm;
  /** After each command: keeps the state. */
  changed(): void;
  /** The client asked for the end of the process. */
  shutdown(): void;
}

/** Commands on port N. */
export function swtpmDataServer(host: TransportHost, locality: () => number): Server {
  return createServer({ noDelay: true }, (socket) => serveFrames(socket, host, locality));
}

function serveFrames(socket: Socket, host: TransportHost, locality: () => number): void {
  const frames = new FrameReader();
  let timer: NodeJS.Timeout | undefined;
  const answer = (frame: Uint8Array): void => {
    const response = host.tpm.execute(frame, locality());
    host.changed();
    socket.write(response);
  };
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    clearTimeout(timer);
    for (const frame of frames.push(chunk)) answer(frame);
    if (!frames.waiting) return;
    timer = setTimeout(() => {
      const rest = frames.flush();
      if (rest.length > 0) answer(rest);
    }, PARTIAL_MS);
  });
  socket.on('close', () => clearTimeout(timer));
}

const CAPABILITIES = 0x0000ffff;
const BAD_ORDINAL = 0x0a;
const BAD_LOCALITY = 0x3d;
/** What swtpm gives as the least size of a buffer: the largest context and a header fit. */
const BUFFER_MIN = 2808;

/**
 * What GET_INFO tells: bit 0 the specification, bit 1 the maker, as a certificate of the platform has
 * them.
 */
function informationOf(tpm: Tpm, flags: bigint): { readonly [name: string]: unknown } {
  const hex = (octets: Uint8Array): string => `id:${toHex(octets).toUpperCase()}`;
  const specification = { family: '2.0', level: 0, revision: 159 };
  const version = be64(FIRMWARE_VERSION).subarray(0, 4);
  const maker = {
    manufacturer: hex(utf8(tpm.state.config.manufacturer)),
    version: hex(version),
    model: 'kisim',
  };
  return {
    ...((flags & 1n) !== 0n && { TPMSpecification: specification }),
    ...((flags & 2n) !== 0n && { TPMAttributes: maker }),
  };
}

/** Octets of a control request after its code; null when more must come. */
function requestLength(code: number, body: Uint8Array): number | null {
  switch (code) {
    case 0x02:
    case 0x11:
    case 0x13:
      return 4;
    case 0x05:
    case 0x0b:
      return 1;
    case 0x07:
      return body.length < 4 ? null : 4 + new DataView(body.buffer, body.byteOffset).getUint32(0);
    case 0x0c:
      return 12;
    case 0x0d:
      return body.length < 12 ? null : 12 + new DataView(body.buffer, body.byteOffset).getUint32(8);
    case 0x12:
      return 16;
    default:
      return 0;
  }
}

/** Commands of the control channel on port N + 1. */
export class SwtpmControl {
  readonly #host: TransportHost;
  readonly #blobs: StateBlobs;
  locality = 0;

  constructor(host: TransportHost) {
    this.#host = host;
    this.#blobs = new StateBlobs(host.tpm);
  }

  server(): Server {
    return createServer({ noDelay: true }, (socket) => {
      let pending = new Uint8Array(0);
      socket.on('error', () => socket.destroy());
      socket.on('data', (chunk: Buffer) => {
        pending = concat(pending, chunk) as Uint8Array<ArrayBuffer>;
        while (pending.length >= 4) {
          const code = new DataView(pending.buffer, pending.byteOffset).getUint32(0);
          const body = pending.subarray(4);
          const length = requestLength(code, body);
          if (length === null || body.length < length) return;
          socket.write(this.handle(code, body.subarray(0, length)));
          pending = body.slice(length);
        }
      });
    });
  }

  /** One control command: result and what follows it, in one piece. */
  handle(code: number, body: Uint8Array): Uint8Array {
    const { tpm } = this.#host;
    const w = new Writer('be');
    const r = new Reader(body, 'be');
    const done = (): Uint8Array => {
      this.#host.changed();
      return w.finish();
    };
    switch (code) {
      case 0x01:
        return w.u32(0).u32(CAPABILITIES).finish();
      case 0x02:
        this.#blobs.init(r.u32());
        break;
      case 0x03:
        tpm.powerOff();
        setImmediate(() => this.#host.shutdown());
        break;
      case 0x04:
        return w.u32(0).u8(0).u8(0).u8(0).u8(0).finish();
      case 0x05: {
        const locality = r.u8();
        if (locality > 4) return w.u32(BAD_LOCALITY).finish();
        this.locality = locality;
        break;
      }
      case 0x06:
        tpm.hashStart();
        break;
      case 0x07:
        tpm.hashData(body.subarray(4));
        break;
      case 0x08:
        tpm.hashEnd();
        break;
      case 0x0b:
        if (r.u8() < 3) return w.u32(BAD_LOCALITY).finish();
        break;
      case 0x0e:
        tpm.powerOff();
        break;
      case 0x0a:
        return w.u32(this.#blobs.store()).finish();
      case 0x0c:
        return this.#blobs.get(body);
      case 0x0d:
        return w.u32(this.#blobs.set(body)).finish();
      case 0x09:
      case 0x13:
        break;
      case 0x0f:
        return w.u32(0).u32(0).finish();
      case 0x11:
        return w
          .u32(r.u32() === 0 ? 0 : BAD_ORDINAL)
          .u32(MAX_COMMAND_SIZE)
          .u32(BUFFER_MIN)
          .u32(MAX_COMMAND_SIZE)
          .finish();
      case 0x12: {
        const text = utf8(`${JSON.stringify(informationOf(tpm, r.u64()))}\0`);
        return w.u32(0).u32(text.length).u32(text.length).bytes(text).finish();
      }
      default:
        return w.u32(BAD_ORDINAL).finish();
    }
    w.u32(0);
    return done();
  }
}
