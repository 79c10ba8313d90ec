#!/usr/bin/env node
// The command line `kisim`. Sub-commands are loaded when they are called, so that help, version and
// completion come at once. Ends with the documented exit codes; a fault of our own prints the command that
// repeats it.

import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { COMMANDS, loadCommand } from './commands.ts';
import { CommandError, EXIT, say, shellQuote } from './terminal.ts';

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string }).version;
}

const EXAMPLES = `Examples:
  kisim run scenarios/lessons/02-list-and-pcr.yaml
  kisim explain scenarios/lessons/02-list-and-pcr.yaml first-read
`;

const EXITS = `
Exit: 0 as expected, 1 an expectation or property failed, 2 usage, 3 invalid input, 5 replay diverged,
      70 internal fault, 130 interrupted.`;

function baseProgram(): Command {
  return new Command('kisim')
    .description(
      'a deterministic simulator of Linux kernel integrity (VFS, IMA, EVM, IPE) with a software TPM 2.0',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .addHelpText('before', EXAMPLES)
    .addHelpText('after', EXITS)
    .showHelpAfterError('(kisim --help shows what there is)')
    .enablePositionalOptions();
}

/** Makes commander throw instead of ending the process, for the command and everything below it. */
function throwing(command: Command): Command {
  command.exitOverride();
  for (const sub of command.commands) throwing(sub);
  return command;
}

async function program(args: readonly string[]): Promise<Command> {
  const root = baseProgram();
  const named = args.find((a) => !a.startsWith('-'));
  const wanted = named === 'help' ? args.filter((a) => !a.startsWith('-'))[1] : named;
  for (const { name, summary } of COMMANDS) {
    if (name === wanted) root.addCommand(await loadCommand(name));
    else root.command(name).description(summary).allowUnknownOption();
  }
  return throwing(root);
}

/** A fault of our own: what happened, and how to see it again. */
function internalFault(e: unknown, args: readonly string[]): number {
  const error = e instanceof Error ? e : new Error(String(e));
  say(`internal fault: ${error.message}`);
  say(`  this is a bug of kisim ${version()} (node ${process.version}); to see it again:`);
  say(`  kisim ${args.map(shellQuote).join(' ')}`);
  const frames = (error.stack ?? '').split('\n').slice(1, 4);
  if (process.env['KISIM_STACK'] === '1') say(error.stack ?? '');
  else for (const frame of frames) say(`  ${frame.trim()}`);
  return EXIT.internal;
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const root = await program(args);
    if (args.length === 0) {
      root.outputHelp();
      return EXIT.usage;
    }
    await root.parseAsync([...args], { from: 'user' });
    return Number(process.exitCode ?? EXIT.ok);
  } catch (e) {
    if (e instanceof CommanderError) return e.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (e instanceof CommandError) {
      say(`kisim: ${e.message}`);
      if (e.help !== null) say(`  help: ${e.help}`);
      return e.exitCode;
    }
    return internalFault(e, args);
  }
}

process.stdout.on('error', (e: NodeJS.ErrnoException) => {
  if (e.code === 'EPIPE') process.exit(EXIT.ok);
  throw e;
});

process.exitCode = await main(process.argv.slice(2));
