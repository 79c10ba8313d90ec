// Mount data: the comma-separated options that a file system type takes. Options without an effect in the
// simulation are accepted where the kernel accepts them; an unknown one is EINVAL, except on ramfs, which
// ignores them.

import { ok, type Result } from '../base/errno.ts';
import type { Core } from './core.ts';
import type { FsOptions, FsType } from './types.ts';

export interface FsParameters {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly vfat?: FsOptions;
  readonly overlay?: {
    readonly lowers: readonly string[];
    readonly upper: string | null;
    readonly work: string | null;
    readonly metacopy: boolean;
    /** redirect_dir=on, which metacopy=on brings with it. */
    readonly redirect: boolean;
  };
}

const IGNORED: Readonly<Partial<Record<FsType, readonly string[]>>> = {
  ext4: [
    'acl',
    'noacl',
    'user_xattr',
    'nouser_xattr',
    'data',
    'errors',
    'barrier',
    'nobarrier',
    'discard',
    'nodiscard',
    'delalloc',
    'nodelalloc',
    'commit',
    'stripe',
    'journal_checksum',
    'i_version',
    'noload',
    'norecovery',
    'init_itable',
    'noinit_itable',
    'usrquota',
    'grpquota',
    'bsddf',
    'minixdf',
    'debug',
    'auto_da_alloc',
    'noauto_da_alloc',
    'block_validity',
    'dioread_nolock',
    'dioread_lock',
    'max_batch_time',
    'min_batch_time',
    'resuid',
    'resgid',
    'lazytime',
  ],
  tmpfs: ['size', 'nr_blocks', 'nr_inodes', 'huge', 'mpol', 'inode32', 'inode64', 'noswap'],
  devtmpfs: ['size', 'nr_blocks', 'nr_inodes'],
  proc: ['hidepid', 'gid', 'subset'],
  vfat: [
    'codepage',
    'iocharset',
    'shortname',
    'utf8',
    'uni_xlate',
    'nonumtail',
    'numtail',
    'check',
    'conv',
    'errors',
    'flush',
    'rodir',
    'showexec',
    'sys_immutable',
    'time_offset',
    'tz',
    'usefree',
    'nfs',
    'discard',
    'dots',
    'nodots',
    'allow_utime',
    'dos1xfloppy',
    'debug',
  ],
  overlay: ['index', 'xino', 'uuid', 'nfs_export', 'userxattr', 'volatile', 'verity', 'default_permissions'],
  fuse: [
    'fd',
    'rootmode',
    'user_id',
    'group_id',
    'default_permissions',
    'allow_other',
    'max_read',
    'blksize',
    'subtype',
  ],
};

type Draft = { -readonly [K in keyof FsParameters]: FsParameters[K] };

function number(text: string, base: number): number | undefined {
  const value = Number.parseInt(text, base);
  return /^[0-9]+$/.test(text) && Number.isSafeInteger(value) ? value : undefined;
}

/** Splits at commas that no backslash hides. */
function split(text: string, by: RegExp): string[] {
  return text
    .split(by)
    .filter((s) => s !== '')
    .map((s) => s.replace(/\\(.)/g, '$1'));
}

interface OverlayDraft {
  lowers: readonly string[];
  upper: string | null;
  work: string | null;
  metacopy: boolean;
  redirectDir: string | null;
}

const REDIRECT_MODES: readonly string[] = ['on', 'off', 'follow', 'nofollow'];

function overlayOption(draft: OverlayDraft, key: string, value: string): boolean {
  if (key === 'lowerdir') draft.lowers = split(value, /(?<!\\):/);
  else if (key === 'lowerdir+') draft.lowers = [...draft.lowers, value];
  else if (key === 'upperdir') draft.upper = value;
  else if (key === 'workdir') draft.work = value;
  else if (key === 'metacopy') draft.metacopy = value === 'on';
  else if (key === 'redirect_dir' && REDIRECT_MODES.includes(value)) draft.redirectDir = value;
  else return false;
  return true;
}

function vfatOption(
  draft: { -readonly [K in keyof FsOptions]: FsOptions[K] },
  key: string,
  value: string,
): boolean {
  if (key === 'quiet') {
    draft.quiet = true;
    return true;
  }
  const n = number(value, key === 'uid' || key === 'gid' ? 10 : 8);
  if (n === undefined) return false;
  if (key === 'uid') draft.uid = n;
  else if (key === 'gid') draft.gid = n;
  else if (key === 'fmask') draft.fmask = n;
  else if (key === 'dmask') draft.dmask = n;
  else if (key === 'umask') {
    draft.fmask = n;
    draft.dmask = n;
  } else return false;
  return true;
}

/** @kernel fs/fs_context.c generic_parse_monolithic() */
export function parseParameters(core: Core, type: FsType, data: string, umask: number): Result<FsParameters> {
  const draft: Draft = {};
  const overlay: OverlayDraft = { lowers: [], upper: null, work: null, metacopy: false, redirectDir: null };
  const vfat = { uid: 0, gid: 0, fmask: umask, dmask: umask, quiet: false };
  for (const option of split(data, /(?<!\\),/)) {
    const at = option.indexOf('=');
    const key = at < 0 ? option : option.slice(0, at);
    const value = at < 0 ? '' : option.slice(at + 1);
    if (type === 'overlay' && overlayOption(overlay, key, value)) continue;
    if (type === 'vfat' && vfatOption(vfat, key, value)) continue;
    const memory = type === 'tmpfs' || type === 'ramfs' || type === 'devtmpfs';
    if (memory && (key === 'mode' || ((key === 'uid' || key === 'gid') && type !== 'ramfs'))) {
      const n = number(value, key === 'mode' ? 8 : 10);
      if (n === undefined) return core.refused('EINVAL', 'vfs.bad_argument');
      draft[key] = key === 'mode' ? n & 0o7777 : n;
      continue;
    }
    if (type === 'ramfs' || (IGNORED[type] ?? []).includes(key)) continue;
    return core.refused('EINVAL', 'vfs.bad_argument');
  }
  if (type === 'vfat') draft.vfat = vfat;
  if (type === 'overlay') {
    const { redirectDir, ...rest } = overlay;
    if (overlay.metacopy && redirectDir !== null && redirectDir !== 'on')
      return core.refused('EINVAL', 'vfs.bad_argument');
    draft.overlay = { ...rest, redirect: redirectDir === 'on' || overlay.metacopy };
  }
  return ok(draft);
}
