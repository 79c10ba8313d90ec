// All powers by name; on the command line several are joined by `+`.

import type { ActionKind, Power } from '../action.ts';
import { codeKinds, kernelKinds } from './code.ts';
import { ROOT, USER } from './draw.ts';
import { fileKinds } from './files.ts';

export const POWERS: readonly Power[] = [
  {
    name: 'unprivileged-user',
    sentence: 'A user without privileges who has a shell.',
    kinds: [...fileKinds(USER), ...codeKinds(USER)],
  },
  {
    name: 'root-without-keys',
    sentence: 'Root on the running machine, without the keys that sign.',
    kinds: [...fileKinds(ROOT), ...codeKinds(ROOT), ...kernelKinds(ROOT)],
  },
];

/** The kinds of several powers, each once. */
export function kindsOf(powers: readonly Power[]): readonly ActionKind[] {
  return [...new Set(powers.flatMap((p) => p.kinds))];
}
