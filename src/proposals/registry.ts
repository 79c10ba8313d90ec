// Every design that was argued and never merged, as this house has it: one folder each, one line here.
// Importing this file makes them known to all machines; a machine has only those that it names.

import { type Extension, registerExtension } from '../kernel/extension.ts';
import { sysdataSigning } from './sysdata-signing/sysdata-signing.ts';

export const PROPOSALS: readonly Extension[] = [sysdataSigning];

for (const proposal of PROPOSALS) registerExtension(proposal);
