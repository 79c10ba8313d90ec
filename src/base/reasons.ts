// Reason codes: every branch that denies, measures, skips or invalidates names one. A room declares its codes
// in its own reasons.ts with defineReasons(); together they are one registry: explain text, glossary and test
// mark at once.

export interface Reason {
  /** One plain sentence, lower case, no full stop. `{name}` is filled from the event's `data`. */
  readonly text: string;
  /** Kernel function or specification section that takes this branch. */
  readonly source: string;
}

const registry = new Map<string, Reason>();

/** Declares a room's reasons; the keys are `room.code`, unique in the whole project. */
export function defineReasons<const T extends Record<string, Reason>>(
  reasons: T,
): { readonly [K in keyof T]: K } {
  for (const [code, reason] of Object.entries(reasons)) registry.set(code, reason);
  return Object.fromEntries(Object.keys(reasons).map((k) => [k, k])) as { [K in keyof T]: K };
}

export function reasonOf(code: string): Reason | undefined {
  return registry.get(code);
}

/** All declared codes, sorted. */
export function allReasons(): readonly (readonly [string, Reason])[] {
  return [...registry.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
}
