// Names, modes and keys of IPE's securityfs nodes: the fixed ones and those of one policy. What they do is
// in securityfs.ts.

import { S_IFDIR, S_IFREG } from '../vfs/constants.ts';

/** Path of the policies' directory below the securityfs root. */
export const POLICIES = 'ipe/policies';

export interface NodeDeclaration {
  /** Path below its parent; empty for the parent itself. */
  readonly name: string;
  /** Type and permission bits. */
  readonly mode: number;
  /** Key into the pseudo-file registry; null for a directory. */
  readonly pseudo: string | null;
}

/** Fixed nodes in the order the kernel makes them. @kernel security/ipe/fs.c ipe_init_securityfs() */
export const IPE_NODES: readonly NodeDeclaration[] = [
  { name: 'ipe', mode: S_IFDIR | 0o755, pseudo: null },
  { name: 'ipe/success_audit', mode: S_IFREG | 0o600, pseudo: 'ipe/success_audit' },
  { name: 'ipe/enforce', mode: S_IFREG | 0o600, pseudo: 'ipe/enforce' },
  { name: POLICIES, mode: S_IFDIR | 0o755, pseudo: null },
  { name: 'ipe/new_policy', mode: S_IFREG | 0o200, pseudo: 'ipe/new_policy' },
];

export type PolicyNode = 'pkcs7' | 'policy' | 'name' | 'version' | 'active' | 'update' | 'delete';

/** @kernel security/ipe/policy_fs.c policy_subdir */
const POLICY_SUBDIR: readonly (readonly [PolicyNode, number])[] = [
  ['pkcs7', 0o444],
  ['policy', 0o444],
  ['name', 0o444],
  ['version', 0o444],
  ['active', 0o600],
  ['update', 0o200],
  ['delete', 0o200],
];

/** The directory itself and its nodes, keyed by the directory's serial number. */
export function policyNodes(id: number): NodeDeclaration[] {
  const files = POLICY_SUBDIR.map(([name, mode]) => ({
    name,
    mode: S_IFREG | mode,
    pseudo: `ipe/policies/${id}/${name}`,
  }));
  return [{ name: '', mode: S_IFDIR | 0o755, pseudo: null }, ...files];
}
