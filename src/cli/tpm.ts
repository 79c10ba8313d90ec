// `kisim tpm serve` and `kisim tpm pipe`: the software TPM for other programs, over TCP (swtpm or mssim
// framing) or over standard input and output (the `cmd` TCTI of tpm2-tss).

import type { Server } from 'node:net';
import { Command, Option } from 'commander';
import '../crypto/auto.ts';
import { manufacture } from '../tpm/manufacture.ts';
import type { TpmState } from '../tpm/state.ts';
import { Tpm } from '../tpm/tpm.ts';
import { mssimCommandServer, mssimPlatformServer } from '../tpm/transports/mssim.ts';
import { servePipe } from '../tpm/transports/pipe.ts';
import { foundAt } from '../tpm/transports/state-blobs.ts';
import { loadStateFile, saveStateFile } from '../tpm/transports/state-file.ts';
import { SwtpmControl, swtpmDataServer, type TransportHost } from '../tpm/transports/swtpm.ts';

const EXIT_INVALID = 3;

interface CommonOptions {
  readonly seed: string;
  readonly state?: string;
  readonly objectSlots: string;
}

interface ServeOptions extends CommonOptions {
  readonly port: string;
  readonly tcti: 'swtpm' | 'mssim';
}

function fail(message: string): never {
  process.stderr.write(`error: ${message}\n`);
  process.exit(EXIT_INVALID);
}

function positive(text: string, option: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65534)
    fail(`${option} is no number from 1 to 65534: ${text}`);
  return value;
}

/** State from the file, or a new TPM. */
function initialState(options: CommonOptions): TpmState {
  if (options.state !== undefined) {
    const loaded = loadStateFile(options.state);
    if (loaded.kind === 'bad') fail(`cannot use state file ${options.state}: ${loaded.why}`);
    if (loaded.kind === 'state') return loaded.state;
  }
  return manufacture({ seed: options.seed, objectSlots: positive(options.objectSlots, '--object-slots') });
}

/** Writes the state when it changed since it was written last. */
function keeper(tpm: Tpm, path: string | undefined): () => void {
  let kept: TpmState | undefined;
  return () => {
    if (path === undefined || kept === tpm.state) return;
    kept = tpm.state;
    saveStateFile(path, tpm.state);
  };
}

const clock = { uptimeMs: () => Date.now() };

function listen(server: Server, port: number, ready: () => void): void {
  server.on('error', (error) => fail(`cannot listen on port ${port}: ${error.message}`));
  server.listen(port, '127.0.0.1', ready);
}

function serve(options: ServeOptions): void {
  const port = positive(options.port, '--port');
  // A new process is a new power-on, whatever the TPM was doing when its state was kept; no time went by in
  // between for the TPM.
  const tpm = new Tpm(foundAt(initialState(options), clock.uptimeMs()), { clock });
  tpm.powerOff();
  tpm.powerOn();
  const changed = keeper(tpm, options.state);
  changed();
  const host: TransportHost = { tpm, changed, shutdown: () => process.exit(0) };
  const control = new SwtpmControl(host);
  const isSwtpm = options.tcti === 'swtpm';
  const data = isSwtpm ? swtpmDataServer(host, () => control.locality) : mssimCommandServer(host);
  const second = isSwtpm ? control.server() : mssimPlatformServer(host);
  listen(data, port, () =>
    listen(second, port + 1, () => {
      process.stderr.write(`kisim tpm: ${options.tcti} on port ${port}, control on ${port + 1}\n`);
    }),
  );
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(0));
}

function pipe(options: CommonOptions): void {
  const tpm = new Tpm(initialState(options), { clock });
  tpm.powerOn();
  servePipe(tpm, process.stdin, process.stdout.fd, keeper(tpm, options.state));
}

function common(command: Command): Command {
  return command
    .option('--seed <text>', 'everything the TPM makes follows from it', 'kisim')
    .option('--state <file>', 'keep the state in a file')
    .option('--object-slots <n>', 'transient objects that fit at once (real TPMs: 3)', '254');
}

/** The `tpm` sub-command. */
export function tpmCommand(): Command {
  const tpm = new Command('tpm').description('software TPM 2.0 for other programs');
  common(tpm.command('serve'))
    .description('serve over TCP: commands on port N, control on port N + 1')
    .option('--port <n>', 'first of the two ports', '2321')
    .addOption(new Option('--tcti <name>', 'framing').choices(['swtpm', 'mssim']).default('swtpm'))
    .action((options: ServeOptions) => serve(options));
  common(tpm.command('pipe'))
    .description('serve over standard input and output (tpm2-tss: -T "cmd:kisim tpm pipe --state FILE")')
    .action((options: CommonOptions) => pipe(options));
  return tpm;
}
