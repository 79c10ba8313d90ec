// Our own bugs throw; failures of the simulated world are values (errno.ts), mistakes of a user are
// diagnostics.

export class InternalError extends Error {
  override readonly name = 'InternalError';
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InternalError(message);
}

/** For the default branch of a switch over a closed union. */
export function unreachable(value: never): never {
  throw new InternalError(`unexpected value ${JSON.stringify(value)}`);
}
