// docs/scenarios.md from the published JSON Schema: one table for each part of a scenario and one for all
// operations. Only the introduction is written by hand.

import { scenarioJsonSchema } from './json-schema.ts';

interface Node {
  readonly type?: string;
  readonly $ref?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly description?: string;
  readonly properties?: { readonly [name: string]: Node };
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
  readonly oneOf?: readonly Node[];
  readonly additionalProperties?: Node | boolean;
  readonly $defs?: { readonly [name: string]: Node };
}

const INTRODUCTION = `# Scenarios

A scenario is a YAML file: a machine, steps, and what each step is expected to do. \`kisim run FILE\` carries it out and shows
a line for each step; \`kisim test\` runs a folder; \`kisim explain FILE STEP\` tells why a step ended as it did.

\`\`\`yaml
# yaml-language-server: $schema=../../schema/scenario.schema.json
title: a file is measured once
kind: lesson
machine:
  cmdline: ima_policy=tcb
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: write, path: /mnt/a.txt, data: "hello world\\n" }
  - op: read
    path: /mnt/a.txt
    note: Root reads it, so it enters the list and PCR 10.
    expect:
      measured: [/mnt/a.txt]
      pcr: { 10: changed }
\`\`\`

The first line gives completion and hover texts in editors that know the YAML language server. \`kisim schema scenario\` prints
the JSON Schema. All mistakes of a file are reported together, with line and column; nothing runs while there is one.

Rules of writing:

- YAML 1.2, one document, keys once. Anchors and aliases may be used; tags and merge keys may not.
- Modes are texts in the way of chmod(1): \`"0644"\`. Hexadecimal digits stand in quotes.
- A step that does not say \`expect: { err: ... }\` must succeed. Everything else is compared only where it is written.
- Each (actor, uid, euid, gid) is one process that lives to the end, so a file that it opens stays open until it closes it.
- Without \`disks\` the machine has one empty ext4 disk, /dev/vdc. proc, sysfs and securityfs are mounted, /mnt and /tmp exist.

## Breaking a scenario

A scenario that passes shows little: it may pass whatever the simulator does. So each one has an entry in a table below
\`test/breaks/\` that names the place in the source that does what the scenario is about, and what to put there to switch it off:

\`\`\`yaml
scenarios/threads/filename-space.yaml:
  - off: spaces of names are kept
    file: src/ima/template-lib.ts
    find: "text.includes(' ') ? text.replaceAll(' ', '_') : text"
    replace: "text"
\`\`\`

\`npx vitest run test/breaks\` runs each scenario on the simulator as it is and on copies in memory with one break each, where an
expectation must fail. \`find\` must stand in the file exactly once; where the source changed, the test says so, and the entry
follows the source. A scenario without an entry fails the test. The few that are about no mechanism say
\`nothing_to_break\` with the reason.

Everything below is generated from the schema (\`npx tsx scripts/schema.ts\`).
`;

class Reference {
  readonly #defs: { readonly [name: string]: Node };

  constructor(root: Node) {
    this.#defs = root.$defs ?? {};
  }

  resolve(node: Node): Node {
    if (node.$ref === undefined) return node;
    const target = this.#defs[node.$ref.replace('#/$defs/', '')] ?? {};
    return node.description === undefined ? target : { ...target, description: node.description };
  }

  /** How a value of this schema is written, in a few words. */
  form(node: Node): string {
    if (node.$ref !== undefined) return `[${node.$ref.replace('#/$defs/', '')}](#${anchor(node.$ref)})`;
    if (node.const !== undefined) return `\`${String(node.const)}\``;
    if (node.enum !== undefined) {
      const words = node.enum.map((v) => `\`${String(v)}\``);
      return words.length > 8 ? `${words.slice(0, 6).join(', ')} ...` : words.join(', ');
    }
    const options = node.anyOf ?? node.oneOf;
    if (options !== undefined && options.length > 20) return '[steps](#steps)';
    if (options !== undefined) return [...new Set(options.map((o) => this.form(o)))].join(' or ');
    if (node.type === 'array') return `list of ${this.form(node.items ?? {})}`;
    if (node.type === 'object') {
      if (node.properties !== undefined)
        return `{ ${Object.keys(node.properties)
          .map((k) => `\`${k}\``)
          .join(', ')} }`;
      const value = typeof node.additionalProperties === 'object' ? node.additionalProperties : {};
      return `map of ${this.form(value)}`;
    }
    return (
      { string: 'text', integer: 'whole number', number: 'number', boolean: 'true or false' }[
        node.type ?? ''
      ] ?? 'any value'
    );
  }

  table(node: Node): string {
    const own = this.resolve(node);
    const rows = Object.entries(own.properties ?? {}).map(([name, member]) => {
      const mark = own.required?.includes(name) === true ? ' (needed)' : '';
      const text = this.resolve(member).description ?? '';
      return `| \`${name}\`${mark} | ${this.form(member)} | ${cell(text)} |`;
    });
    return ['| member | form | meaning |', '| --- | --- | --- |', ...rows].join('\n');
  }
}

function anchor(ref: string): string {
  return ref.replace('#/$defs/', '').toLowerCase();
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function section(level: number, title: string, text: string | undefined, table: string): string {
  return `${'#'.repeat(level)} ${title}\n\n${text === undefined ? '' : `${text}\n\n`}${table}\n`;
}

const STEP_MEMBERS: ReadonlySet<string> = new Set(['op', 'id', 'as', 'expect', 'note']);

const OP: Node = { type: 'string', description: 'Name of an operation (below).' };

function operations(ref: Reference, steps: readonly Node[]): string {
  const rows = steps.map((raw) => {
    const step = ref.resolve(raw);
    const args = Object.entries(step.properties ?? {})
      .filter(([name]) => !STEP_MEMBERS.has(name))
      .map(([name, member]) => {
        const needed = step.required?.includes(name) === true;
        return `\`${name}\`${needed ? '' : '?'}: ${ref.form(member)}`;
      });
    return `| \`${String(step.properties?.['op']?.const)}\` | ${cell(step.description ?? '')} | ${args.join('; ')} |`;
  });
  return ['| op | does | arguments (`?`: may be left out) |', '| --- | --- | --- |', ...rows].join('\n');
}

/** Text of docs/scenarios.md. */
export function scenarioReference(): string {
  const root = scenarioJsonSchema() as Node;
  const ref = new Reference(root);
  const items = ref.resolve(root.properties?.['steps']?.items ?? {});
  const steps = items.oneOf ?? items.anyOf ?? [];
  const first = ref.resolve(steps[0] ?? {});
  const common = Object.fromEntries(
    Object.entries(first.properties ?? {}).filter(([name]) => STEP_MEMBERS.has(name)),
  );
  const machine = ref.resolve(root.properties?.['machine'] ?? {});
  const disk = ref.resolve(machine.properties?.['disks']?.items ?? {});
  const named = Object.entries(root.$defs ?? {})
    .filter(([name]) => !name.startsWith('__'))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    INTRODUCTION,
    section(2, 'The document', undefined, ref.table(root)),
    section(2, 'machine', machine.description, ref.table(machine)),
    section(3, 'disks', disk.description, ref.table(disk)),
    section(
      2,
      'steps',
      'Every step has these members and the arguments of its operation.',
      ref.table({ properties: { ...common, op: OP }, required: ['op'] }),
    ),
    section(3, 'Operations', undefined, operations(ref, steps)),
    ...named.map(([name, node]) =>
      node.properties === undefined
        ? section(2, name, node.description, forms(ref, node))
        : section(2, name, node.description, ref.table(node)),
    ),
  ].join('\n');
}

/** The spellings of a value that has several. */
function forms(ref: Reference, node: Node): string {
  const options = node.anyOf ?? node.oneOf ?? [];
  if (options.length === 0) return ref.form(node);
  return options
    .map((raw) => {
      const option = ref.resolve(raw);
      const members = Object.values(option.properties ?? {}).map((m) => ref.resolve(m).description ?? '');
      return `- ${ref.form(raw)}: ${option.description ?? members.join(' ')}`;
    })
    .join('\n');
}
