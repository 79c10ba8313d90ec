// `kisim completion bash|zsh|fish`: scripts made from the command tree itself, so they know every option
// and every choice.

import { Argument, Command, type Option } from 'commander';
import { out } from './terminal.ts';

interface Word {
  readonly name: string;
  readonly about: string;
}

interface Completable {
  /** `run`, or `tpm serve`. */
  readonly path: string;
  readonly about: string;
  readonly options: readonly {
    readonly words: readonly string[];
    readonly about: string;
    readonly choices: readonly string[];
    readonly takesValue: boolean;
  }[];
  readonly subcommands: readonly Word[];
  /** Fixed words of the first argument. */
  readonly choices: readonly string[];
}

function optionOf(o: Option): Completable['options'][number] {
  const words = [o.short, o.long].filter((w) => w !== undefined && w !== null);
  return { words, about: o.description, choices: o.argChoices ?? [], takesValue: o.required || o.optional };
}

function walk(command: Command, path: string): Completable[] {
  const own: Completable = {
    path,
    about: command.description(),
    options: command.options.filter((o) => !o.hidden).map(optionOf),
    subcommands: command.commands.map((c) => ({ name: c.name(), about: c.description() })),
    choices: command.registeredArguments[0]?.argChoices ?? [],
  };
  return [own, ...command.commands.flatMap((c) => walk(c, `${path} ${c.name()}`))];
}

/** Sub-commands that are not made by the program itself. */
const namesOf = (commands: readonly Completable[]): string =>
  commands
    .filter((c) => !c.path.includes(' '))
    .map((c) => c.path)
    .join(' ');

function bash(commands: readonly Completable[]): string {
  const cases = commands.map((c) => {
    const words = [
      ...c.subcommands.map((s) => s.name),
      ...c.choices,
      ...c.options.flatMap((o) => o.words),
      '--help',
    ];
    return `    '${c.path}') words='${words.join(' ')}' ;;`;
  });
  const values = commands.flatMap((c) =>
    c.options
      .filter((o) => o.choices.length > 0)
      .map(
        (o) => `    ${o.words.map((w) => `'${c.path} ${w}'`).join('|')}) values='${o.choices.join(' ')}' ;;`,
      ),
  );
  return `# bash completion for kisim; put \`eval "$(kisim completion bash)"\` into ~/.bashrc
_kisim() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path='' words='' values='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in -*) continue ;; esac
    case "$path" in
    '') path=\${COMP_WORDS[i]} ;;
${commands
  .filter((c) => c.subcommands.length > 0)
  .map((c) => `    '${c.path}') path="$path \${COMP_WORDS[i]}" ;;`)
  .join('\n')}
    esac
  done
  if [ -z "$path" ]; then
    COMPREPLY=($(compgen -W '${namesOf(commands)} help --help --version' -- "$cur"))
    return
  fi
  case "$path $prev" in
${values.join('\n')}
  esac
  if [ -n "$values" ]; then
    COMPREPLY=($(compgen -W "$values" -- "$cur"))
    return
  fi
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -f -- "$cur"))
}
complete -o filenames -F _kisim kisim
`;
}

const zshText = (text: string): string => text.replace(/['[\]:\\]/g, (c) => (c === "'" ? "'\\''" : `\\${c}`));

function zsh(commands: readonly Completable[]): string {
  const top = commands.filter((c) => !c.path.includes(' '));
  const described = top.map((c) => `    '${c.path}:${zshText(c.about)}'`).join('\n');
  const cases = commands.map((c) => {
    const options = c.options.map((o) => {
      const value = o.takesValue
        ? `:value:${o.choices.length > 0 ? `(${o.choices.join(' ')})` : '_files'}`
        : '';
      const [first, second] = o.words;
      const head = second === undefined ? `'${first}` : `'(${o.words.join(' ')})'{${o.words.join(',')}}'`;
      return `      ${head}[${zshText(o.about)}]${value}'`;
    });
    const words = [...c.subcommands.map((s) => s.name), ...c.choices];
    const rest = words.length > 0 ? `'1:what:(${words.join(' ')})' '*:file:_files'` : "'*:file:_files'";
    return `  '${c.path}')\n    _arguments -s \\\n${[...options, `      '--help[show help]'`, `      ${rest}`].join(' \\\n')} ;;`;
  });
  const nested = commands.filter((c) => c.subcommands.length > 0).map((c) => `'${c.path}'`);
  return `#compdef kisim
# zsh completion for kisim; put \`eval "$(kisim completion zsh)"\` into ~/.zshrc after compinit
_kisim() {
  local -a commands
  commands=(
${described}
  )
  if ((CURRENT == 2)); then
    _describe 'command' commands
    return
  fi
  local path="\${words[2]}"
  shift words; ((CURRENT--))
${nested.length === 0 ? '' : `  if ((CURRENT > 2)) && [[ ${nested.map((n) => `$path == ${n}`).join(' || ')} ]]; then path="$path \${words[2]}"; shift words; ((CURRENT--)); fi\n`}  case "$path" in
${cases.join('\n')}
  esac
}
compdef _kisim kisim
`;
}

const fishText = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function fish(commands: readonly Completable[]): string {
  const lines = ['# fish completion for kisim; put `kisim completion fish | source` into config.fish'];
  for (const c of commands) {
    const words = c.path.split(' ');
    if (words.length === 1)
      lines.push(`complete -c kisim -n __fish_use_subcommand -f -a ${c.path} -d ${fishText(c.about)}`);
    const seen = words.map((w) => `__fish_seen_subcommand_from ${w}`).join('; and ');
    for (const s of c.subcommands)
      lines.push(`complete -c kisim -n ${fishText(seen)} -f -a ${s.name} -d ${fishText(s.about)}`);
    for (const choice of c.choices) lines.push(`complete -c kisim -n ${fishText(seen)} -a ${choice}`);
    for (const o of c.options) {
      const flags = o.words
        .map((w) => (w.startsWith('--') ? `-l ${w.slice(2)}` : `-s ${w.slice(1)}`))
        .join(' ');
      const value = !o.takesValue
        ? ''
        : o.choices.length > 0
          ? ` -x -a ${fishText(o.choices.join(' '))}`
          : ' -r';
      lines.push(`complete -c kisim -n ${fishText(seen)} ${flags}${value} -d ${fishText(o.about)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

const SHELLS: Readonly<Record<string, (commands: readonly Completable[]) => string>> = { bash, zsh, fish };

/** `all` gives every sub-command with its options. */
export function completionCommand(all: () => Promise<readonly Command[]>): Command {
  return new Command('completion')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(SHELLS)))
    .addHelpText('before', 'Examples:\n  eval "$(kisim completion bash)"\n  kisim completion fish | source\n')
    .action(async (shell: string) => {
      const commands = (await all()).flatMap((c) => walk(c, c.name()));
      out((SHELLS[shell] ?? bash)(commands));
    });
}
