// Writes docs/machines.md: a Mermaid diagram of every state machine of src/**/*.machine.ts, drawn from the machine's own
// definition, under the words with which its file begins. With --check it writes nothing and fails when the page is old.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AnyStateMachine, AnyStateNode, AnyTransitionDefinition } from 'xstate';
import { filesBelow, ROOT, textOf } from '../test/support.ts';

export const PAGE = 'docs/machines.md';

export interface Drawn {
  readonly file: string;
  readonly machine: AnyStateMachine;
}

function isMachine(value: unknown): value is AnyStateMachine {
  return typeof value === 'object' && value !== null && 'root' in value && 'transition' in value;
}

/** The machines of all files, in the order of their paths. */
export async function machines(): Promise<readonly Drawn[]> {
  const out: Drawn[] = [];
  for (const file of filesBelow('src', '.machine.ts')) {
    const module: Record<string, unknown> = await import(pathToFileURL(join(ROOT, file)).href);
    for (const machine of Object.values(module).filter(isMachine)) out.push({ file, machine });
  }
  return out;
}

function guardName({ guard }: AnyTransitionDefinition): string {
  if (guard === undefined) return '';
  return ` [${typeof guard === 'string' ? guard : ((guard as { type?: string }).type ?? 'guarded')}]`;
}

const nodeId = (node: AnyStateNode): string => node.path.join('_').replaceAll('-', '_');

/** `from --> to: EVENT, EVENT` for every pair of states; what stays where it is without an effect is left out. */
function arrows(node: AnyStateNode): string[] {
  const labels = new Map<string, string[]>();
  const add = (t: AnyTransitionDefinition, event: string): void => {
    for (const target of t.target ?? []) {
      const key = `${nodeId(node)} --> ${nodeId(target)}`;
      labels.set(key, [...(labels.get(key) ?? []), `${event}${guardName(t)}`.trim()]);
    }
  };
  for (const t of node.always ?? []) add(t, '');
  for (const [event, list] of node.transitions) for (const t of list) add(t, event);
  return [...labels].map(([key, events]) => `${key}: ${events.join(', ')}`);
}

function statesOf(node: AnyStateNode, indent: string): string[] {
  const children = Object.values(node.states);
  const lines: string[] = [];
  if (node.type === 'parallel') {
    for (const [i, child] of children.entries()) {
      if (i > 0) lines.push(`${indent}--`);
      lines.push(`${indent}state ${nodeId(child)} {`, ...statesOf(child, `${indent}  `), `${indent}}`);
    }
    return lines;
  }
  const initial = node.initial?.target?.[0];
  for (const child of children)
    if (child.path.length > 1) lines.push(`${indent}state "${child.key}" as ${nodeId(child)}`);
  if (initial !== undefined) lines.push(`${indent}[*] --> ${nodeId(initial)}`);
  for (const child of children) {
    lines.push(...arrows(child).map((a) => `${indent}${a}`));
    if (child.type === 'final') lines.push(`${indent}${nodeId(child)} --> [*]`);
  }
  return lines;
}

/** One machine as Mermaid text. */
export function mermaid(machine: AnyStateMachine): string {
  const { root } = machine;
  const body =
    root.type === 'parallel'
      ? [`  state ${machine.id} {`, ...statesOf(root, '    '), '  }']
      : statesOf(root, '  ');
  return ['stateDiagram-v2', ...body].join('\n');
}

/** The sentences with which a file begins. */
function opening(file: string): string {
  const lines = textOf(file).split('\n');
  const end = lines.findIndex((l) => !l.startsWith('//'));
  return lines
    .slice(0, end)
    .map((l) => l.slice(3))
    .join('\n');
}

const INTRODUCTION = `# State machines

Lifecycles are XState machines beside the code that they belong to; these diagrams are drawn from them (\`npm run diagrams\`).
Where a machine stands on a path that is taken often, the code runs on a table derived from it.
`;

export async function diagramsPage(): Promise<string> {
  const sections = (await machines()).map(
    ({ file, machine }) =>
      `## ${machine.id}\n\n${opening(file)}\n(\`${file}\`)\n\n\`\`\`mermaid\n${mermaid(machine)}\n\`\`\`\n`,
  );
  return [INTRODUCTION, ...sections].join('\n');
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const path = join(ROOT, PAGE);
  const page = await diagramsPage();
  if (process.argv.includes('--check')) {
    if (readFileSync(path, 'utf8') !== page) {
      console.error(`${PAGE} is not up to date: npm run diagrams`);
      process.exitCode = 1;
    }
  } else writeFileSync(path, page);
}
