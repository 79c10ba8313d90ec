// What every sub-command shares about the terminal: colours (NO_COLOR, FORCE_COLOR, --color, plain), the
// progress line on standard error, exit codes, and the errors that end a command.

import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { Option } from 'commander';
import pc from 'picocolors';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  invalid: 3,
  diverged: 5,
  internal: 70,
  interrupted: 130,
} as const;

export type Colors = ReturnType<typeof pc.createColors>;

export type ColorChoice = 'auto' | 'always' | 'never';

export function colorOption(): Option {
  return new Option('--color <when>', 'colours on the terminal')
    .choices(['auto', 'always', 'never'])
    .default('auto');
}

/** Colours for a stream; `plain` output has none. */
export function colorsFor(choice: ColorChoice, stream: NodeJS.WriteStream, plain = false): Colors {
  if (plain || choice === 'never') return pc.createColors(false);
  if (choice === 'always') return pc.createColors(true);
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR !== undefined && NO_COLOR !== '') return pc.createColors(false);
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') return pc.createColors(FORCE_COLOR !== '0');
  return pc.createColors(stream.isTTY === true && TERM !== 'dumb');
}

/** A mistake of the caller that ends the command: one line on standard error. */
export class CommandError extends Error {
  readonly exitCode: number;
  readonly help: string | null;

  constructor(exitCode: number, message: string, help: string | null = null) {
    super(message);
    this.exitCode = exitCode;
    this.help = help;
  }
}

/** Bytes of a file, `-` for standard input; too large or missing ends the command with exit code 3. */
export function readInput(path: string, limit: number): Uint8Array {
  try {
    if (path === '-') return readFileSync(0);
    const stat = statSync(path);
    if (stat.isDirectory()) throw new CommandError(EXIT.invalid, `${path}: is a folder`);
    if (stat.size > limit)
      throw new CommandError(
        EXIT.invalid,
        `${path}: the file is larger than ${Math.floor(limit / 1048576)} MiB`,
        'keep large contents in files of their own, or write them as `repeat`',
      );
    return readFileSync(path);
  } catch (e) {
    if (e instanceof CommandError) throw e;
    throw new CommandError(EXIT.invalid, `${path}: ${reason(e)}`);
  }
}

function reason(e: unknown): string {
  const code = (e as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EACCES') return 'permission denied';
  return code ?? (e as Error).message;
}

/** Makes a folder for results, with its parents; usage where something else stands in its place. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (e) {
    const why = e instanceof Error && 'code' in e ? String(e.code) : String(e);
    throw new CommandError(EXIT.usage, `${path}: the folder cannot be made (${why})`, 'name another folder');
  }
}

/** A word as a shell takes it back. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Writes data to standard output. */
export function out(text: string): void {
  process.stdout.write(text.endsWith('\n') || text === '' ? text : `${text}\n`);
}

/** Talk goes to standard error. */
export function say(text: string): void {
  process.stderr.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** One line that is rewritten, on a terminal only. */
export class Progress {
  readonly #on: boolean;
  #shown = false;

  constructor() {
    this.#on = process.stderr.isTTY === true && process.env['CI'] === undefined;
  }

  show(text: string): void {
    if (!this.#on) return;
    this.#shown = true;
    process.stderr.write(`\r\u001b[K${text}`);
  }

  clear(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K');
    this.#shown = false;
  }
}

/** Whether the user asked to stop: long commands look at it between two pieces of work. */
export class Interruption {
  asked = false;

  constructor() {
    process.once('SIGINT', () => {
      this.asked = true;
      // A second one does not wait.
      process.once('SIGINT', () => process.exit(EXIT.interrupted));
    });
  }

  /** Lets signals come in; true when the work should end here. */
  async pause(): Promise<boolean> {
    await new Promise((resolve) => setImmediate(resolve));
    return this.asked;
  }
}
