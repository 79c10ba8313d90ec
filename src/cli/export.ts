// `kisim export`: runs a scenario and writes what a verifier of a real machine would collect, so that
// evmctl, tpm2-tools and `kisim attest verify` can read it.

import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command, Option } from 'commander';
import { utf8 } from '../base/bytes.ts';
import { looseHex } from '../scenario/data.ts';
import { type ExportOptions as CollectOptions, exportFiles } from '../scenario/export.ts';
import { AK_TYPES, type AkType } from '../scenario/tpm-client.ts';
import { play, requireScenario } from './play.ts';
import {
  type ColorChoice,
  CommandError,
  colorOption,
  colorsFor,
  EXIT,
  makeFolder,
  out,
  say,
  shellQuote,
} from './terminal.ts';

interface ExportOptions {
  readonly to: string;
  readonly nonce?: string;
  readonly key: AkType;
  readonly color: ColorChoice;
}

function nonceOf(text: string | undefined): Uint8Array {
  if (text === undefined) return utf8('kisim export');
  try {
    return looseHex(text);
  } catch {
    throw new CommandError(EXIT.usage, `--nonce: \`${text}\` is no hexadecimal text`);
  }
}

/** Runs the scenario of a file and collects what its export consists of. */
export function exportScenario(
  file: string,
  options: CollectOptions,
  colors = colorsFor('never', process.stderr),
): { readonly files: ReadonlyMap<string, Uint8Array>; readonly failed: boolean } {
  const { report, machine, events, memory } = play(requireScenario(file, colors));
  const files = exportFiles(report, machine, events, memory, options);
  return { files, failed: report.outcome === 'failed' };
}

function writeExport(file: string, options: ExportOptions): void {
  const nonce = nonceOf(options.nonce);
  const colors = colorsFor(options.color, process.stderr);
  const { files, failed } = exportScenario(file, { nonce, key: options.key }, colors);
  for (const [name, bytes] of files) {
    const path = join(options.to, name);
    makeFolder(dirname(path));
    writeFileSync(path, bytes);
    out(path);
  }
  if (failed) {
    say(`${file}: an expectation does not hold; to see it: kisim run ${shellQuote(file)}`);
    process.exitCode = EXIT.failed;
  }
}

export function exportCommand(): Command {
  return new Command('export')
    .argument('<scenario>', 'a scenario file')
    .requiredOption('--to <dir>', 'folder for the files')
    .option('--nonce <hex>', "the verifier's nonce of the quote")
    .addOption(
      new Option('--key <kind>', 'kind of the attestation key').choices([...AK_TYPES]).default('ecc'),
    )
    .addOption(colorOption())
    .addHelpText(
      'before',
      'Examples:\n  kisim export scenarios/lessons/02-list-and-pcr.yaml --to collected\n  kisim export FILE --to collected --nonce 00112233\n',
    )
    .addHelpText(
      'after',
      '\nWrites lists, registers, a quote of the end with its key, the event log and the trace; their names go to standard output.',
    )
    .action(writeExport);
}
