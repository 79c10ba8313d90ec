// The kernel command line: words, quotes, `--`, and who gets what (parse_args, next_arg,
// unknown_bootoption). The parameters themselves belong to the rooms: a table of __setup() entries is
// handed in. Early parameters and sysctl aliases are left out: none of them is modelled.

/** One word of the command line: `name` or `name=value`, quotes removed. */
export interface BootParam {
  readonly name: string;
  readonly value: string | null;
}

export interface CommandLine {
  readonly params: readonly BootParam[];
  /** Everything after `--`, as words for init. */
  readonly initArgs: readonly string[];
}

const isSpace = (c: string | undefined): boolean =>
  c === ' ' || c === '\t' || c === '\n' || c === '\v' || c === '\f' || c === '\r' || c === '\u00a0';

/**
 * Takes the next word at `at`; a quote at its start or inside the value protects spaces.
 * @kernel lib/cmdline.c next_arg()
 */
function nextArg(text: string, at: number): { readonly param: BootParam; readonly end: number } {
  let start = at;
  let inQuote = false;
  let quoted = false;
  if (text[start] === '"') {
    start++;
    inQuote = true;
    quoted = true;
  }
  let equals = start;
  let i = start;
  for (; i < text.length; i++) {
    if (isSpace(text[i]) && !inQuote) break;
    if (equals === start && text[i] === '=') equals = i;
    if (text[i] === '"') inQuote = !inQuote;
  }
  const hasValue = equals > start;
  let from = equals + 1;
  let end = i;
  // A quote that opens the value goes away together with the one that ends the word.
  if (hasValue && text[from] === '"') {
    from++;
    if (text[i - 1] === '"') end = i - 1;
  }
  if (quoted && end === i && i > start && text[i - 1] === '"') end = i - 1;
  return {
    param: hasValue
      ? { name: text.slice(start, equals), value: text.slice(from, Math.max(from, end)) }
      : { name: text.slice(start, end), value: null },
    end: i,
  };
}

/**
 * Splits a command line into parameters in order; later duplicates stay, each handler sees all of them.
 * @kernel kernel/params.c parse_args()
 */
export function parseCmdline(text: string): CommandLine {
  const params: BootParam[] = [];
  let i = 0;
  while (i < text.length) {
    while (isSpace(text[i])) i++;
    if (i >= text.length) break;
    const { param, end } = nextArg(text, i);
    i = end;
    if (param.name === '--' && param.value === null) {
      return {
        params,
        initArgs: text
          .slice(i)
          .split(/\s+/)
          .filter((w) => w !== ''),
      };
    }
    params.push(param);
  }
  return { params, initArgs: [] };
}

/** One __setup() entry: `key` as in the source (`ima_hash=`, `ima_tcb`); false = not handled after all. */
export interface SetupEntry {
  readonly key: string;
  run(rest: string): boolean;
}

const dashed = (text: string): string => text.replace(/-/g, '_');

export interface Leftovers {
  readonly initArgs: readonly string[];
  readonly initEnv: readonly string[];
}

/**
 * Gives each parameter to the __setup() entries whose key begins it (`-` and `_` are the same); what nobody
 * takes goes to init: words as arguments, `name=value` into the environment, dotted names nowhere.
 * @kernel init/main.c unknown_bootoption(), obsolete_checksetup()
 */
export function runSetup(line: CommandLine, table: readonly SetupEntry[]): Leftovers {
  const initArgs: string[] = [];
  const initEnv = new Map<string, string>();
  for (const { name, value } of line.params) {
    const whole = value === null ? name : `${name}=${value}`;
    if (name.startsWith('BOOT_IMAGE') || name.startsWith('kexec')) continue;
    const normal = dashed(whole);
    if (table.some((e) => normal.startsWith(dashed(e.key)) && e.run(whole.slice(e.key.length)))) continue;
    if (name.includes('.')) continue;
    if (value === null) initArgs.push(whole);
    else initEnv.set(name, whole);
  }
  return { initArgs: [...initArgs, ...line.initArgs], initEnv: [...initEnv.values()] };
}
