// Reason codes of this room: why an operation on files was refused.

import { defineReasons } from '../base/reasons.ts';

export const VFS_REASONS = defineReasons({
  'vfs.refused_by_hook': {
    text: 'a security hook or the pseudo file itself refused',
    source: 'security/security.c',
  },
  'vfs.no_entry': { text: 'no such name', source: 'fs/namei.c' },
  'vfs.not_directory': { text: 'a part of the path is no directory', source: 'fs/namei.c link_path_walk()' },
  'vfs.is_directory': { text: 'it is a directory', source: 'fs/namei.c may_open()' },
  'vfs.name_too_long': { text: 'a name or the path is too long', source: 'fs/namei.c getname_flags()' },
  'vfs.too_many_links': { text: 'more than 40 symbolic links on the way', source: 'fs/namei.c pick_link()' },
  'vfs.symlink': {
    text: 'the path ends in a symbolic link that may not be followed',
    source: 'fs/namei.c may_open()',
  },
  'vfs.search_denied': {
    text: 'a directory on the way gives no search permission',
    source: 'fs/namei.c may_lookup()',
  },
  'vfs.mode_denied': {
    text: 'mode bits and capabilities do not allow it',
    source: 'fs/namei.c generic_permission()',
  },
  'vfs.acl_denied': {
    text: 'the access control list does not allow it',
    source: 'fs/posix_acl.c posix_acl_permission()',
  },
  'vfs.read_only': {
    text: 'the mount or the file system is read-only',
    source: 'fs/namespace.c mnt_want_write()',
  },
  'vfs.immutable': { text: 'the inode is immutable', source: 'fs/namei.c inode_permission()' },
  'vfs.append_only': { text: 'the inode is append-only', source: 'fs/namei.c may_open()' },
  'vfs.protected': {
    text: 'one of the fs.protected_ settings forbids it',
    source: 'fs/namei.c may_linkat()',
  },
  'vfs.sticky': {
    text: 'the directory is sticky and the entry belongs to someone else',
    source: 'fs/namei.c __check_sticky()',
  },
  'vfs.not_owner': {
    text: 'only the owner or a task with CAP_FOWNER may do it',
    source: 'fs/inode.c inode_owner_or_capable()',
  },
  'vfs.no_capability': { text: 'a capability is missing', source: 'kernel/capability.c' },
  'vfs.noexec': { text: 'the mount is noexec', source: 'fs/exec.c path_noexec()' },
  'vfs.nodev': { text: 'the mount is nodev', source: 'fs/namei.c may_open_dev()' },
  'vfs.exists': { text: 'the name is taken', source: 'fs/namei.c filename_create()' },
  'vfs.text_busy': {
    text: 'the file is open for write while it is executed or read by the kernel, or the other way round',
    source: 'include/linux/fs.h get_write_access()',
  },
  'vfs.bad_argument': { text: 'an argument is not valid', source: 'fs/open.c' },
  'vfs.bad_mode': { text: 'the file was not opened for this', source: 'fs/read_write.c' },
  'vfs.cross_mount': { text: 'the two names lie on different mounts', source: 'fs/namei.c do_renameat2()' },
  'vfs.not_empty': { text: 'the directory is not empty', source: 'fs/namei.c vfs_rmdir()' },
  'vfs.busy': { text: 'it is in use', source: 'fs/namespace.c' },
  'vfs.link_limit': {
    text: 'the inode has as many links as the file system allows',
    source: 'fs/namei.c vfs_link()',
  },
  'vfs.loop': { text: 'a directory would become its own descendant', source: 'fs/namei.c lock_rename()' },
  'vfs.unsupported': { text: 'the file system does not offer it', source: 'fs/namei.c' },
  'vfs.no_space': { text: 'no space for it', source: 'fs/ext4/xattr.c ext4_xattr_set_entry()' },
  'vfs.too_big': { text: 'it is larger than allowed', source: 'fs/xattr.c setxattr_copy()' },
  'vfs.no_data': { text: 'no such extended attribute', source: 'fs/xattr.c' },
  'vfs.xattr_exists': { text: 'the extended attribute exists', source: 'fs/xattr.c simple_xattr_set()' },
  'vfs.opaque': {
    text: 'the content is known by its length and digests only',
    source: 'a limit of the simulation',
  },
  'vfs.io': { text: 'the device could not give the data', source: 'block layer' },
  'vfs.sealed': { text: 'a seal forbids it', source: 'mm/memfd.c' },
  'vfs.no_device': { text: 'no such device or driver', source: 'fs/char_dev.c chrdev_open()' },
  'vfs.device_claimed': {
    text: 'a device-mapper table stands on the device',
    source: 'block/bdev.c bd_prepare_to_claim()',
  },
  'vfs.not_block': { text: 'the mount source is no block device', source: 'block/bdev.c lookup_bdev()' },
  'vfs.protection': {
    text: 'the mapping does not allow the access',
    source: 'arch/x86/mm/fault.c access_error()',
  },
  'vfs.verity': {
    text: 'fs-verity keeps the file from changing',
    source: 'fs/verity/open.c fsverity_file_open()',
  },
  'vfs.locked_mount': {
    text: 'the mount was there when the less privileged namespace was made',
    source: 'fs/namespace.c can_umount()',
  },
  'vfs.id_unmapped': {
    text: 'the file system belongs to a user namespace that has no name for the owner or the group',
    source: 'include/linux/fs.h fsuidgid_has_mapping()',
  },
  'vfs.pipe': { text: 'the other end of the pipe is not open', source: 'fs/pipe.c fifo_open()' },
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
  'vfs.verity_too_long': {
    text: 'the salt or the signature is too long',
    source: 'fs/verity/enable.c fsverity_ioctl_enable()',
  },
  'vfs.verity_not_readable': {
    text: 'the descriptor must be open for reading only',
    source: 'fs/verity/enable.c fsverity_ioctl_enable()',
  },
  'vfs.verity_append_only': {
    text: 'the file is append-only',
    source: 'fs/verity/enable.c fsverity_ioctl_enable()',
  },
  'vfs.verity_not_regular': {
    text: 'it is no regular file',
    source: 'fs/verity/enable.c fsverity_ioctl_enable()',
  },
  'vfs.verity_block': {
    text: 'a block does not fit the hash tree of its dm-verity device',
    source: 'drivers/md/dm-verity-target.c verity_handle_err()',
  },
  'vfs.verity_busy': {
    text: 'somebody has the file open for writing',
    source: 'fs/verity/enable.c fsverity_ioctl_enable()',
  },
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
  'vfs.verity_signature': {
    text: 'no key of the .fs-verity keyring accepts the signature',
    source: 'fs/verity/signature.c fsverity_verify_signature()',
  },
  'vfs.verity_descriptor': {
    text: 'the fs-verity descriptor on the disk is damaged',
    source: 'fs/verity/open.c fsverity_get_descriptor()',
  },
  'vfs.verity_none': {
    text: 'the file has no fs-verity',
    source: 'fs/verity/measure.c fsverity_ioctl_measure()',
  },
});

export type VfsReason = keyof typeof VFS_REASONS;
