// Which files of a room are mutated, and which tests must notice. Only fast tests without other programs stand
// here: each mutant runs those of them that reach it.

export interface Room {
  /** Globs of the sources; a leading `!` takes files out. */
  readonly mutate: readonly string[];
  /** Folders of the tests. */
  readonly tests: readonly string[];
}

export const ROOMS: Readonly<Record<string, Room>> = {
  ima: {
    mutate: [
      'src/ima/policy-*.ts',
      'src/ima/appraise.ts',
      'src/ima/modsig.ts',
      'src/ima/inode-hooks.ts',
      'src/ima/iint.ts',
    ],
    tests: ['test/unit/ima'],
  },
  evm: {
    // reasons.ts is the registry of sentences for people.
    mutate: ['src/evm/**/*.ts', '!src/evm/reasons.ts'],
    tests: ['test/unit/evm'],
  },
  ipe: {
    // reasons.ts is the registry of sentences for people; the machine is walked against its table by a test.
    mutate: ['src/ipe/**/*.ts', '!src/ipe/reasons.ts', '!src/ipe/*.machine.ts'],
    tests: ['test/unit/ipe'],
  },
};
