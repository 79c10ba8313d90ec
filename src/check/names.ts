// Words of the command line and of scenarios to what they name: promises, powers, and clauses of one's own.

import { didYouMean } from '../base/diagnostic.ts';
import type { Power } from './action.ts';
import { POWERS } from './powers/table.ts';
import { PROPERTIES } from './properties/table.ts';
import type { Property } from './property.ts';

/** A word that names nothing; the message says what is near. */
export class UnknownName extends Error {
  readonly help: string;

  constructor(what: string, name: string, names: readonly string[]) {
    super(`unknown ${what} \`${name}\``);
    this.help = didYouMean(name, names) ?? `there are: ${names.join(', ')}`;
  }
}

function find<T extends { readonly name: string }>(what: string, all: readonly T[], name: string): T {
  const found = all.find((one) => one.name === name);
  if (found === undefined)
    throw new UnknownName(
      what,
      name,
      all.map((one) => one.name),
    );
  return found;
}

/** Promises by name, beside those that the caller brings. */
export function propertiesNamed(
  names: readonly string[],
  own: readonly Property<unknown>[] = [],
): readonly Property<unknown>[] {
  const all = [...(PROPERTIES as readonly Property<unknown>[]), ...own];
  return [...new Set(names)].map((name) => find('property', all, name));
}

/** Powers of `root-without-keys+disk-editor`. */
export function powersNamed(attacker: string, own: readonly Power[] = []): readonly Power[] {
  const words = attacker
    .split('+')
    .map((w) => w.trim())
    .filter((w) => w !== '');
  return [...new Set(words)].map((name) => find('power', [...POWERS, ...own], name));
}
