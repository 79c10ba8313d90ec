// Nodes of securityfs that come and go at run time, and those that belong to the kernel itself: the list of
// LSMs and the firmware's event log.

import { utf8 } from '../base/bytes.ts';
import { ok } from '../base/errno.ts';
import { enabled, type KernelProfile } from '../base/profile.ts';
import type { SecurityfsNodes } from '../ipe/env.ts';
import type { PseudoNode, VfsApi } from '../vfs/api.ts';
import { S_IFDIR, S_IFMT, S_IFREG } from '../vfs/constants.ts';
import type { Dentry, SbId } from '../vfs/types.ts';
import { bootTask } from './boot-task.ts';
import { rootOf } from './populate.ts';
import type { Rooms } from './rooms.ts';

/** The one securityfs superblock; undefined before the pseudo file systems exist. */
export function securityfsOf(vfs: VfsApi): SbId | undefined {
  for (const sb of vfs.state.superblocks.values()) if (sb.type === 'securityfs') return sb.id;
  return undefined;
}

/** Makes and removes nodes below the root of securityfs. @kernel security/inode.c securityfs_create_file() */
export function securityfsNodes(vfs: VfsApi): SecurityfsNodes {
  return {
    create(path, mode, pseudo) {
      const sb = securityfsOf(vfs);
      if (sb === undefined) return;
      const type = (mode & S_IFMT) !== 0 ? 0 : pseudo === null ? S_IFDIR : S_IFREG;
      vfs.populate(rootOf(vfs, sb), path, { mode: mode | type, ...(pseudo === null ? {} : { pseudo }) });
    },
    remove(path) {
      const dentry = walk(vfs, path);
      if (dentry !== undefined) vfs.depopulate({ mount: 0, dentry: dentry.id });
    },
  };
}

/** Dentry of a path below the root of securityfs, symbolic links inside it followed. */
function walk(vfs: VfsApi, path: string, depth = 0): Dentry | undefined {
  const sb = securityfsOf(vfs);
  if (sb === undefined || depth > 8) return undefined;
  const names = path.split('/').filter((n) => n !== '');
  let at = vfs.dentry(vfs.superblock(sb).root);
  for (const [i, name] of names.entries()) {
    const child = vfs.inode(at.inode).children?.get(name);
    if (child === undefined) return undefined;
    at = vfs.dentry(child);
    const { target } = vfs.inode(at.inode);
    if (target === null) continue;
    const rest = names.slice(i + 1);
    return walk(vfs, [...names.slice(0, i), target, ...rest].join('/'), depth + 1);
  }
  return at;
}

/**
 * What a node shows, read without a system call; undefined for nodes that are not there or cannot be read.
 */
export function readSecurityfs(r: Rooms, path: string): Uint8Array | undefined {
  const dentry = walk(r.vfs, path);
  if (dentry === undefined) return undefined;
  const { pseudo } = r.vfs.inode(dentry.inode);
  const read = pseudo === null ? undefined : r.findPseudo(pseudo)?.read?.(bootTask(r), 0);
  return read?.ok ? read.value : undefined;
}

/**
 * Modules that CONFIG_LSM or lsm= names, between capability (always first) and IMA and EVM (always last).
 * @kernel security/security.c ordered_lsm_parse()
 */
export function lsmNames(profile: KernelProfile, list: string): readonly string[] {
  const built: Readonly<Record<string, string>> = {
    ipe: 'CONFIG_SECURITY_IPE',
    smack: 'CONFIG_SECURITY_SMACK',
    selinux: 'CONFIG_SECURITY_SELINUX',
  };
  const named = list.split(',').filter((n, i, all) => n in built && all.indexOf(n) === i);
  const active = named.filter((n) => enabled(profile, built[n] ?? ''));
  const last = [
    ...(enabled(profile, 'CONFIG_IMA') ? ['ima'] : []),
    ...(enabled(profile, 'CONFIG_EVM') ? ['evm'] : []),
  ];
  return ['capability', ...active, ...last];
}

/** Behaviour of the kernel's own nodes, by key. */
export function kernelPseudo(r: Rooms): Readonly<Record<string, PseudoNode>> {
  return {
    'kernel/lsm': { read: () => ok(utf8(r.kernel.state.lsms.join(','))) },
    'kernel/binary_bios_measurements': { read: () => ok(r.kernel.state.eventLog) },
  };
}
