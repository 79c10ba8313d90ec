// Reason codes of fs-verity and dm-verity.

import { defineReasons } from '../base/reasons.ts';

const ENABLE = 'fs/verity/enable.c fsverity_ioctl_enable()';

export const VERITY_REASON = defineReasons({
  'vfs.verity_no_ioctl': {
    text: 'the file system has no fs-verity',
    source: 'fs/ioctl.c vfs_ioctl()',
  },
  'vfs.verity_no_feature': {
    text: 'the file system was made without the verity feature',
    source: 'fs/ext4/ioctl.c __ext4_ioctl()',
  },
  'vfs.verity_block_size': {
    text: 'the block size of the tree must be a power of two between 1024 and the page size',
    source: 'fs/verity/open.c fsverity_init_merkle_tree_params()',
  },
  'vfs.verity_too_long': { text: 'the salt or the signature is too long', source: ENABLE },
  'vfs.verity_not_writable': { text: 'enabling fs-verity needs write permission', source: ENABLE },
  'vfs.verity_not_readable': { text: 'the descriptor must be open for reading only', source: ENABLE },
  'vfs.verity_append_only': { text: 'the file is append-only', source: ENABLE },
  'vfs.verity_not_regular': { text: 'it is no regular file', source: ENABLE },
  'vfs.verity_read_only': { text: 'the mount or the file system is read-only', source: ENABLE },
  'vfs.verity_busy': { text: 'somebody has the file open for writing', source: ENABLE },
  'vfs.verity_algorithm': {
    text: 'the hash algorithm is neither sha256 nor sha512',
    source: 'fs/verity/hash_algs.c fsverity_get_hash_alg()',
  },
  'vfs.verity_enabled_before': {
    text: 'fs-verity is enabled on the file already',
    source: 'fs/verity/enable.c enable_verity()',
  },
  'vfs.verity_opaque': {
    text: 'the content is known by its length and digests only, a tree cannot be built',
    source: 'a limit of the simulation',
  },
  'vfs.verity_unsigned': {
    text: 'require_signatures is on and the file has no built-in signature',
    source: 'fs/verity/signature.c fsverity_verify_signature()',
  },
  'vfs.verity_no_keys': {
    text: 'the .fs-verity keyring is empty',
    source: 'fs/verity/signature.c fsverity_verify_signature()',
  },
  'vfs.verity_signature': {
    text: 'no key of the .fs-verity keyring accepts the signature',
    source: 'fs/verity/signature.c fsverity_verify_signature()',
  },
  'vfs.verity_none': {
    text: 'the file has no fs-verity',
    source: 'fs/verity/measure.c fsverity_ioctl_measure()',
  },
  'vfs.dm_verity_corrupted': {
    text: 'block {block} does not have the digest that the tree holds',
    source: 'drivers/md/dm-verity-target.c verity_handle_err()',
  },
});
