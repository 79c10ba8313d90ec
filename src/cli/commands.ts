// The sub-commands by name: one line about each, and where its code is. The code is loaded when the command
// is called or when the whole tree is needed (completion).

import type { Command } from 'commander';

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

export const COMMANDS: readonly Entry[] = [
  {
    name: 'run',
    summary: 'carry out scenarios and show a line for each step',
    load: async () => (await import('./run.ts')).runCommand(),
  },
  {
    name: 'test',
    summary: 'run all scenarios of folders and say which expectations do not hold',
    load: async () => (await import('./test.ts')).testCommand(),
  },
  {
    name: 'explain',
    summary: 'tell why a step ended as it did, or where a register got its value from',
    load: async () => (await import('./explain.ts')).explainCommand(),
  },
  {
    name: 'diff',
    summary: 'run two scenarios and show where they part',
    load: async () => (await import('./diff.ts')).diffCommand(),
  },
  {
    name: 'diff-policy',
    summary: 'say exactly in which events two policies decide differently',
    load: async () => (await import('./diff-policy.ts')).diffPolicyCommand(),
  },
  {
    name: 'lint',
    summary: 'check a policy or a scenario: the verdict of the kernel and every mistake with its place',
    load: async () => (await import('./lint.ts')).lintCommand(),
  },
  {
    name: 'gaps',
    summary: 'which ways of data into the kernel a policy measures, appraises, enforces, or misses',
    load: async () => (await import('./gaps.ts')).gapsCommand(),
  },
  {
    name: 'export',
    summary: 'run a scenario and write lists, registers, quote, key, event log and trace as files',
    load: async () => (await import('./export.ts')).exportCommand(),
  },
  {
    name: 'sign',
    summary: 'label and sign files, metadata and policies as evmctl, sign-file and openssl do',
    load: async () => (await import('./sign.ts')).signCommand(),
  },
  {
    name: 'tpm',
    summary: 'the software TPM for other programs: serve (TCP) and pipe (stdin and stdout)',
    load: async () => (await import('./tpm.ts')).tpmCommand(),
  },
  {
    name: 'attest',
    summary: 'judge measurement lists, quotes and event logs of simulated and real machines',
    load: async () => (await import('./attest.ts')).attestCommand(),
  },
  {
    name: 'check',
    summary: 'search for what an attacker can do against a promise, and write it as a scenario',
    load: async () => (await import('./check.ts')).checkCommand(),
  },
  {
    name: 'conform',
    summary: 'run recorded kernel cases and compare with what the real kernel did',
    load: async () => (await import('./conform.ts')).conformCommand(),
  },
  {
    name: 'schema',
    summary: 'print the JSON Schema of scenarios, or all reason codes',
    load: async () => (await import('./schema.ts')).schemaCommand(),
  },
  {
    name: 'completion',
    summary: 'print the completion script for bash, zsh or fish',
    load: async () => (await import('./completion.ts')).completionCommand(allCommands),
  },
];

/** The command of that name with its options and code. */
export async function loadCommand(name: string): Promise<Command> {
  const entry = COMMANDS.find((c) => c.name === name);
  if (entry === undefined) throw new RangeError(`no command ${name}`);
  const command = await entry.load();
  return command.description(entry.summary);
}

/** Every sub-command, in the order of the help. */
async function allCommands(): Promise<readonly Command[]> {
  const all: Command[] = [];
  for (const { name } of COMMANDS) all.push(await loadCommand(name));
  return all;
}
