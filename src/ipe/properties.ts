// The properties that a rule can ask for, as declarations: name, kind of value, the build option, and what
// makes it hold. A design that adds a property declares it the same way; parser, audit text and evaluation
// read the declaration.

import { equalBytes } from '../base/bytes.ts';
import type { BlockDevice, FileId, Inode, VfsTask } from '../vfs/types.ts';
import type { IpeDigest, IpeHook, IpeOp, IpePropertyValue } from './types.ts';

/** What one event is judged by. @kernel security/ipe/eval.h struct ipe_eval_ctx */
export interface IpeEvalContext {
  readonly task: VfsTask;
  /** Null when the kernel read an id that no operation stands for. */
  readonly op: IpeOp | null;
  readonly hook: IpeHook;
  /** Null for anonymous memory and for buffers. */
  readonly file: FileId | null;
  /** Inode of the data: below an overlay the layer's own. */
  readonly inode: Inode | null;
  /** Block device under that inode's file system. */
  readonly device: BlockDevice | null;
  /** The superblock of the file's mount carries the initramfs mark. */
  readonly initramfs: boolean;
  /** The built-in fs-verity signature of the inode was accepted. */
  readonly fsVeritySigned: boolean;
}

/** How a property is written, and when the kernel has it. */
export interface IpePropertySyntax {
  readonly name: string;
  readonly kind: 'boolean' | 'digest';
  /** CONFIG_ option; when it is off the property parses and never holds, whatever its value. */
  readonly option: string | null;
}

export interface IpeProperty extends IpePropertySyntax {
  /** Whether the property holds with that value; booleans are asked with TRUE and FALSE alike. */
  evaluate(context: IpeEvalContext, value: IpePropertyValue): boolean;
  /** False where no value at all can hold; asked once an event before any digest of the property is compared. */
  possible?(context: IpeEvalContext): boolean;
}

/** @kernel security/ipe/digest.c ipe_digest_eval() */
export function ipeDigestEval(expected: IpeDigest, alg: string, digest: Uint8Array): boolean {
  return expected.alg === alg && equalBytes(expected.digest, digest);
}

/** Properties of Linux 6.12. @kernel security/ipe/eval.c evaluate_property() */
export const IPE_PROPERTIES: readonly IpeProperty[] = [
  {
    name: 'boot_verified',
    kind: 'boolean',
    option: null,
    evaluate: (context, value) => context.initramfs === value,
  },
  {
    name: 'dmverity_roothash',
    kind: 'digest',
    option: 'CONFIG_IPE_PROP_DM_VERITY',
    possible: ({ device }) => device?.verity != null,
    evaluate: ({ device }, value) =>
      device?.verity != null &&
      typeof value === 'object' &&
      ipeDigestEval(value, device.verity.alg, device.verity.rootHash),
  },
  {
    name: 'dmverity_signature',
    kind: 'boolean',
    option: 'CONFIG_IPE_PROP_DM_VERITY_SIGNATURE',
    evaluate: ({ device }, value) => (device?.verity?.signed ?? false) === value,
  },
  {
    name: 'fsverity_digest',
    kind: 'digest',
    option: 'CONFIG_IPE_PROP_FS_VERITY',
    possible: ({ inode }) => inode?.verity != null,
    evaluate: ({ inode }, value) =>
      inode?.verity != null &&
      typeof value === 'object' &&
      ipeDigestEval(value, inode.verity.alg, inode.verity.digest),
  },
  {
    name: 'fsverity_signature',
    kind: 'boolean',
    option: 'CONFIG_IPE_PROP_FS_VERITY_BUILTIN_SIG',
    evaluate: ({ inode, fsVeritySigned }, value) => (inode?.verity != null && fsVeritySigned) === value,
  },
];
