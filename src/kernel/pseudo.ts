// Which room answers for a pseudo file: tables of behaviour by key, made when a key of that room is first
// asked for, so that a fork costs nothing until somebody reads such a file.

import { evmPseudo } from '../evm/securityfs.ts';
import { imaPseudo } from '../ima/securityfs.ts';
import { ipePseudo } from '../ipe/securityfs.ts';
import type { PseudoNode } from '../vfs/api.ts';
import { S_IFMT } from '../vfs/constants.ts';
import { procPseudo } from './procfs.ts';
import type { Rooms } from './rooms.ts';
import { kernelPseudo } from './securityfs.ts';
import { devPseudo, sysPseudo } from './sysfs.ts';

type Finder = (key: string) => PseudoNode | undefined;

const byRecord =
  (nodes: Readonly<Record<string, PseudoNode>>): Finder =>
  (key) =>
    nodes[key];

/** First part of a key -> the room's nodes. Adding a room is one line. */
const ROOMS: Readonly<Record<string, (r: Rooms) => Finder>> = {
  proc: (r) => byRecord(procPseudo(r.kernel)),
  sys: (r) => sysPseudo(r.kernel, r.chip, () => r.ipe.state),
  kernel: (r) => byRecord(kernelPseudo(r)),
  chr: (r) => byRecord(devPseudo(r.tpm === null ? null : (command) => r.tpm?.execute(command) ?? command)),
  ima: (r) => {
    const nodes = imaPseudo(r.ima);
    return (key) => nodes.get(key);
  },
  evm: (r) => {
    const nodes = evmPseudo(r.evm, (file, mode) => {
      const inode = r.vfs.inode(r.vfs.file(file).inode);
      r.vfs.updateInode(inode.key, { mode: (inode.mode & S_IFMT) | mode });
    });
    return (key) => nodes.get(key);
  },
  smack: (r) => byRecord({ 'smack/load2': r.smack.load2(), 'smack/current': r.smack.current() }),
  ext: (r) => (key) => r.extensions.findNode(key),
  ipe: (r) => {
    const nodes = ipePseudo(r.ipe);
    return (key) => nodes.find(key);
  },
};

/** The registry of one machine. @kernel fs/seq_file.c seq_open() */
export function pseudoFinder(r: Rooms): Finder {
  const made = new Map<string, Finder>();
  return (key) => {
    const room = key.slice(0, Math.max(0, key.search(/[/:]/)));
    let finder = made.get(room);
    if (finder === undefined) {
      const make = ROOMS[room];
      if (make === undefined) return undefined;
      finder = make(r);
      // IMA's lists exist only once it is up; before that nothing is kept.
      if (room !== 'ima' || r.ima.state.initialized) made.set(room, finder);
    }
    return finder(key);
  };
}
