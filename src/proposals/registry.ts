// Every design that was argued and never merged, as this house has it: one folder each, one line here.
// Importing this file makes them known to all machines; a machine has only those that it names.

import { type Extension, registerExtension } from '../kernel/extension.ts';
import { cpioXattrs } from './cpio-xattrs/cpio-xattrs.ts';
import { digestLists } from './digest-lists/digest-lists.ts';
import { lim2008 } from './lim-2008/lim-2008.ts';
import { listExport } from './list-export/list-export.ts';
import { listStaging } from './list-export/list-staging.ts';
import { listTmpfile } from './list-export/list-tmpfile.ts';
import { listTrim } from './list-export/list-trim.ts';
import { memfdOwner } from './memfd-owner/memfd-owner.ts';
import { imaMemExec } from './memlocked-exec/memlocked-exec.ts';
import { imaXattrSecureBoot } from './memlocked-exec/secure-boot-xattr.ts';
import { sysdataSigning } from './sysdata-signing/sysdata-signing.ts';

export const PROPOSALS: readonly Extension[] = [
  ...cpioXattrs,
  digestLists,
  lim2008,
  listExport,
  listStaging,
  listTmpfile,
  listTrim,
  imaMemExec,
  imaXattrSecureBoot,
  memfdOwner,
  sysdataSigning,
];

for (const proposal of PROPOSALS) registerExtension(proposal);
