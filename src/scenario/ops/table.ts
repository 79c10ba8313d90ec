// The vocabulary of operations, in one table: scenarios derive their step schema from it, conformance runs
// execute it.

import { FILE_OPS } from './files.ts';
import { INTEGRITY_OPS } from './integrity.ts';
import { PROGRAM_OPS } from './programs.ts';
import { TREE_OPS } from './tree.ts';
import type { OpDeclaration } from './types.ts';

export const OPS: readonly OpDeclaration[] = [...FILE_OPS, ...TREE_OPS, ...PROGRAM_OPS, ...INTEGRITY_OPS];
