// The diagrams of docs/machines.md: the page is what the machines give today, every machine file is on it, and
// every arrow is a step that the machine takes, none is missing.

import { describe, expect, it } from 'vitest';
import type { AnyStateNode } from 'xstate';
import { type Drawn, diagramsPage, machines, mermaid, PAGE } from '../scripts/diagrams.ts';
import { filesBelow, textOf } from './support.ts';

/** `from to event` of every transition of a machine. */
function steps({ machine }: Drawn): string[] {
  const out: string[] = [];
  const name = (node: AnyStateNode): string => node.path.join('_').replaceAll('-', '_');
  const visit = (node: AnyStateNode): void => {
    for (const [event, list] of node.transitions)
      for (const t of list) for (const to of t.target ?? []) out.push(`${name(node)} ${name(to)} ${event}`);
    for (const child of Object.values(node.states)) visit(child);
  };
  visit(machine.root);
  return [...new Set(out)].sort();
}

/** The same as the diagram shows it. */
function drawn(text: string): string[] {
  const arrows = [...text.matchAll(/^\s*(\w+) --> (\w+): (.+)$/gm)];
  const shown = arrows.flatMap(([, from, to, events = '']) =>
    events
      .split(', ')
      .map((e) => e.replace(/ ?\[\w+\]$/, ''))
      .filter((e) => e !== '')
      .map((e) => `${from} ${to} ${e}`),
  );
  return [...new Set(shown)].sort();
}

describe('diagrams of the state machines', async () => {
  const all = await machines();

  it('are up to date', async () => {
    expect(textOf(PAGE)).toBe(await diagramsPage());
  });

  it('show every machine of every machine file', () => {
    const files = filesBelow('src', '.machine.ts');
    expect(files.length).toBeGreaterThan(6);
    expect([...new Set(all.map((d) => d.file))]).toEqual(files);
    expect(new Set(all.map((d) => d.machine.id)).size).toBe(all.length);
  });

  it.each(all.map((d) => [d.machine.id, d] as const))('%s: arrows and steps are the same', (_id, d) => {
    expect(steps(d).length).toBeGreaterThan(2);
    expect(drawn(mermaid(d.machine))).toEqual(steps(d));
  });
});
