// The properties that a rule can ask for, as declarations: name, kind of value, the build option, and what
// makes it hold. A design that adds a property declares it the same way; parser, audit text and evaluation
// read the declaration.

import { toHex } from '../base/bytes.ts';
import type { BlockDevice, FileId, Inode, VfsTask } from '../vfs/types.ts';
import type { IpeHook, IpeOp, IpePropertyValue } from './types.ts';

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
  /** The only value with which it holds now, null for none: then a table is searched by value, rule by rule no more. */
  valueNow?(context: IpeEvalContext): IpePropertyValue | null;
}

const HEX = new WeakMap<Uint8Array, string>();

function hexOf(digest: Uint8Array): string {
  let hex = HEX.get(digest);
  if (hex === undefined) {
    hex = toHex(digest);
    HEX.set(digest, hex);
  }
  return hex;
}

/** Equal for equal values; contents never change, so the hexadecimal form of a digest is made once. */
export function valueKey(value: IpePropertyValue): string | boolean {
  return typeof value === 'object' ? `${value.alg}:${hexOf(value.digest)}` : value;
}

/** A property that has one value at a time. */
function ofValue(
  declared: IpePropertySyntax & { valueNow(context: IpeEvalContext): IpePropertyValue | null },
): IpeProperty {
  return {
    ...declared,
    evaluate: (context, value) => {
      const now = declared.valueNow(context);
      return now !== null && valueKey(now) === valueKey(value);
    },
  };
}

/**
 * Properties of Linux 6.12. Digests are equal when name of the algorithm and bytes are.
 * @kernel security/ipe/eval.c evaluate_property(), security/ipe/digest.c ipe_digest_eval()
 */
export const IPE_PROPERTIES: readonly IpeProperty[] = [
  ofValue({
    name: 'boot_verified',
    kind: 'boolean',
    option: null,
    valueNow: (context) => context.initramfs,
  }),
  ofValue({
    name: 'dmverity_roothash',
    kind: 'digest',
    option: 'CONFIG_IPE_PROP_DM_VERITY',
    valueNow: ({ device }) =>
      device?.verity == null ? null : { alg: device.verity.alg, digest: device.verity.rootHash },
  }),
  ofValue({
    name: 'dmverity_signature',
    kind: 'boolean',
    option: 'CONFIG_IPE_PROP_DM_VERITY_SIGNATURE',
    valueNow: ({ device }) => device?.verity?.signed ?? false,
  }),
  ofValue({
    name: 'fsverity_digest',
    kind: 'digest',
    option: 'CONFIG_IPE_PROP_FS_VERITY',
    valueNow: ({ inode }) =>
      inode?.verity == null ? null : { alg: inode.verity.alg, digest: inode.verity.digest },
  }),
  ofValue({
    name: 'fsverity_signature',
    kind: 'boolean',
    option: 'CONFIG_IPE_PROP_FS_VERITY_BUILTIN_SIG',
    valueNow: ({ inode, fsVeritySigned }) => inode?.verity != null && fsVeritySigned,
  }),
];
