// Digest lists (DIGLIM, named in the posting of IPE v9, 2023): packages are signed, the files in them are
// not. A list of a package's digests, signed by the distributor, is loaded into the kernel; IPE and IMA ask
// whether the digest of a file is in a list. Lists have no versions and bind no names, which is part
// of the story. Formats of package managers are left out: a list is text, `sha256:HEX` a line, in a signed message.

import { Map as ImmutableMap } from 'immutable';
import { fromLatin1, toHex, utf8 } from '../../base/bytes.ts';
import { type Err, fail, ok, type Result } from '../../base/errno.ts';
import { defineReasons } from '../../base/reasons.ts';
import { fileContentHash } from '../../integrity/hash-info.ts';
import { defineExtension, type ExtensionCursor } from '../../kernel/extension.ts';
import { CAP_MAC_ADMIN } from '../../vfs/constants.ts';
import { capable } from '../../vfs/perm.ts';
import type { Inode, VfsTask } from '../../vfs/types.ts';

const POSTED =
  'proposal: [RFC PATCH v9 00/16] Integrity Policy Enforcement LSM (IPE), Wu, 2023-01-30, on DIGLIM';

const REASON = defineReasons({
  'digest_list.loaded': {
    text: 'the list is signed by a key of the kernel, and its digests count from now on',
    source: POSTED,
  },
  'digest_list.refused': { text: 'the list is not signed by a key that the kernel trusts', source: POSTED },
  'digest_list.malformed': { text: 'the list is signed and has a line that is no digest', source: POSTED },
  'digest_list.known': { text: 'the digest of the file is in list {list}', source: POSTED },
  'digest_list.unknown': { text: 'the digest of the file is in no list', source: POSTED },
});

interface State {
  /** Digest in hex -> name of the list that brought it. */
  readonly digests: ImmutableMap<string, string>;
  /** Names of lists, with how many digests each has. */
  readonly lists: ImmutableMap<string, number>;
}

type Cursor = ExtensionCursor<State>;

/** The digests of a list: first line `digest_list=NAME`, then one digest a line. */
function parseList(text: string): { readonly name: string; readonly digests: readonly string[] } | null {
  const [head = '', ...lines] = text.trimEnd().split('\n');
  const name = /^digest_list=([\w.-]{1,64})$/.exec(head)?.[1];
  if (name === undefined) return null;
  const digests = lines.map((line) => /^sha256:([0-9a-f]{64})$/.exec(line)?.[1]);
  return digests.every((d) => d !== undefined) ? { name, digests } : null;
}

/**
 * A signed list comes into force. It is measured as critical data, so that a register that knows the lists
 * need not know the files.
 */
function load(x: Cursor, task: VfsTask, message: Uint8Array): Err {
  const { kernel, trust, trace, ima } = x.rooms;
  if (!capable(task.cred, CAP_MAC_ADMIN)) return 'EPERM';
  const content = trust.verifyPkcs7(message, { keyring: 'builtin' });
  if (!content.ok) return kernel.refuse(content.errno, REASON['digest_list.refused']);
  const list = parseList(fromLatin1(content.value));
  if (list === null) return kernel.refuse('EINVAL', REASON['digest_list.malformed']);
  const { name, digests } = list;
  let known = x.state.digests;
  for (const digest of digests) known = known.set(digest, name);
  x.state = { digests: known, lists: x.state.lists.set(name, digests.length) };
  ima.criticalData(task, 'digest_lists', name, content.value, true);
  trace.emit('digest_list.loaded', { name, digests: digests.length }, REASON['digest_list.loaded']);
  return 0;
}

/** The list that has the digest of a file, as the file is now; null for none. */
function listOf(x: Cursor, inode: Inode | null): string | null {
  const { vfs } = x.rooms;
  if (inode === null || inode.pseudo !== null || inode.content === null) return null;
  const digest = fileContentHash('sha256', vfs.contentOf(inode.key));
  return digest === null ? null : (x.state.digests.get(toHex(digest)) ?? null);
}

function isListed(x: Cursor, inode: Inode | null): boolean {
  const list = listOf(x, inode);
  const code = list === null ? 'digest_list.unknown' : 'digest_list.known';
  x.rooms.trace.emit('digest_list.asked', { inode: inode?.key ?? 0, list }, REASON[code]);
  return list !== null;
}

export const digestLists = defineExtension<State>({
  name: 'digest_lists',
  about:
    'digests of files come in lists that the distributor signs; IPE and IMA ask whether a file is in one',
  start: () => ({ digests: ImmutableMap(), lists: ImmutableMap() }),
  nodes: (x) => [
    { path: 'digest_lists', mode: 0o755 },
    {
      path: 'digest_lists/load',
      mode: 0o200,
      node: {
        write: (task, _file, data): Result<number> => {
          const err = load(x, task, data);
          return err === 0 ? ok(data.length) : fail(err);
        },
      },
    },
    {
      path: 'digest_lists/loaded',
      mode: 0o444,
      node: {
        read: () => ok(utf8([...x.state.lists].map(([name, count]) => `${name} ${count}\n`).join(''))),
      },
    },
  ],
  ipeProperties: [
    {
      name: 'digest_list',
      kind: 'boolean',
      option: null,
      evaluate: (x, { inode }, wanted) => isListed(x, inode) === wanted,
    },
  ],
  imaConditions: [
    {
      keyword: 'digest_list',
      ops: ['='],
      accepts: (_op, value) => value === 'yes' || value === 'no',
      matches: (x, { inode }, _op, value) => isListed(x, inode) === (value === 'yes'),
    },
  ],
});
