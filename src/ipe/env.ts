// What IPE needs from its neighbours, and the cursor that its functions work on. The machine fills it in.

import type { KernelProfile } from '../base/profile.ts';
import type { Trace } from '../base/trace.ts';
import type { SystemKeys } from '../crypto/system-keys.ts';
import type { Audit } from '../integrity/audit.ts';
import type { VfsApi } from '../vfs/api.ts';
import type { IpeProperty } from './properties.ts';
import type { IpeState } from './types.ts';

/** Nodes below the securityfs root that come and go at run time; paths like `ipe/policies/NAME/active`. */
export interface SecurityfsNodes {
  /** Makes a directory (pseudo null) or a pseudo file; the parent exists. */
  create(path: string, mode: number, pseudo: string | null): void;
  /** Removes a node and all below it; open files stay. */
  remove(path: string): void;
}

export interface IpeEnv {
  readonly profile: KernelProfile;
  readonly trace: Trace;
  readonly audit: Audit;
  readonly vfs: VfsApi;
  readonly keys: SystemKeys;
  readonly securityfs: SecurityfsNodes;
  /** Properties that rules can use; IPE_PROPERTIES and those of a proposal. */
  readonly properties: readonly IpeProperty[];
}

export interface IpeCursor {
  state: IpeState;
  readonly env: IpeEnv;
}

/**
 * Build options that a profile does not mention are on: Kconfig selects them with what they stand on.
 * @kernel security/ipe/Kconfig
 */
export function optionOn(profile: KernelProfile, option: string | null): boolean {
  return option === null || profile.config[option] !== 'n';
}
