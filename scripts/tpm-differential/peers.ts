// The two TPMs that are compared: kisim's in this process, and swtpm as a child process with its command and
// control channel over TCP. Both get the same power cycles and localities.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '../../src/crypto/auto.ts';
import { concat } from '../../src/base/bytes.ts';
import { manufacture } from '../../src/tpm/manufacture.ts';
import { be16, be32 } from '../../src/tpm/marshal.ts';
import { responseCodeOf, Tpm } from '../../src/tpm/tpm.ts';

const RC_RETRY = 0x922;
const WAIT_MS = 20_000;
const HEADER = 10;

/** One request, one answer of known length, over a kept connection. */
class Channel {
  #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#pending = Buffer.concat([this.#pending, chunk]);
      this.#wake?.();
    });
    socket.on('error', () => this.#wake?.());
    socket.on('close', () => this.#wake?.());
  }

  async read(length: number): Promise<Uint8Array> {
    while (this.#pending.length < length) {
      if (this.#socket.closed) throw new Error('swtpm closed the connection');
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('swtpm does not answer')), WAIT_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const out = new Uint8Array(this.#pending.subarray(0, length));
    this.#pending = this.#pending.subarray(length);
    return out;
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }
}

function dial(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', () => resolve(undefined));
  });
}

async function dialPatiently(port: number): Promise<Channel> {
  for (let i = 0; i < 200; i++) {
    const socket = await dial(port);
    if (socket !== undefined) return new Channel(socket);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`swtpm does not listen on port ${port}`);
}

export interface Peer {
  readonly name: 'kisim' | 'swtpm';
  execute(command: Uint8Array, locality?: number): Promise<Uint8Array>;
  /** Power off and on again. */
  cycle(): Promise<void>;
  stop(): void;
}

export class Kisim implements Peer {
  readonly name = 'kisim';
  readonly tpm: Tpm;

  constructor(seed: string) {
    const state = manufacture({ seed, objectSlots: 3, sessionSlots: 3 });
    const started = Date.now();
    this.tpm = new Tpm(state, { clock: { uptimeMs: () => Date.now() - started } });
    this.tpm.powerOn();
  }

  async execute(command: Uint8Array, locality = 0): Promise<Uint8Array> {
    try {
      return this.tpm.execute(command, locality);
    } catch (error) {
      // Our own bug: a difference like any other, with a code that no TPM gives.
      if (!(error instanceof Error)) throw error;
      console.log(error.stack);
      return concat(be16(0x8001), be32(HEADER), be32(0xdead));
    }
  }

  async cycle(): Promise<void> {
    this.tpm.powerOff();
    this.tpm.powerOn();
  }

  stop(): void {}
}

export class Swtpm implements Peer {
  readonly name = 'swtpm';
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #data: Channel;
  readonly #control: Channel;
  #locality = 0;

  private constructor(child: ChildProcess, directory: string, data: Channel, control: Channel) {
    this.#child = child;
    this.#directory = directory;
    this.#data = data;
    this.#control = control;
  }

  static async start(port: number): Promise<Swtpm> {
    const directory = mkdtempSync(join(tmpdir(), 'kisim-swtpm-'));
    const args = ['socket', '--tpm2', '--tpmstate', `dir=${directory}`];
    args.push('--server', `type=tcp,port=${port}`, '--ctrl', `type=tcp,port=${port + 1}`);
    args.push('--flags', 'not-need-init');
    const child = spawn('swtpm', args, { stdio: 'ignore' });
    const control = await dialPatiently(port + 1);
    const data = await dialPatiently(port);
    return new Swtpm(child, directory, data, control);
  }

  async #tell(request: Uint8Array): Promise<void> {
    this.#control.write(request);
    const result = await this.#control.read(4);
    if (result.some((octet) => octet !== 0))
      throw new Error(`swtpm control: ${Buffer.from(result).toString('hex')}`);
  }

  async #once(command: Uint8Array): Promise<Uint8Array> {
    this.#data.write(command);
    const head = await this.#data.read(HEADER);
    const size = new DataView(head.buffer).getUint32(2);
    return concat(head, await this.#data.read(size - HEADER));
  }

  async execute(command: Uint8Array, locality = 0): Promise<Uint8Array> {
    if (locality !== this.#locality) {
      await this.#tell(concat(be32(5), Uint8Array.of(locality)));
      this.#locality = locality;
    }
    // libtpms before 0.10.1 answers the first use of a key under dictionary-attack protection with RETRY.
    for (;;) {
      const response = await this.#once(command);
      if (responseCodeOf(response) !== RC_RETRY) return response;
    }
  }

  async cycle(): Promise<void> {
    await this.#tell(concat(be32(2), be32(0)));
  }

  stop(): void {
    this.#data.close();
    this.#control.close();
    this.#child.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
