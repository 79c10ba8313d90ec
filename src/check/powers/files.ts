// Kinds of action on files and their labels, for whoever acts: new files, other contents, other names, labels
// from elsewhere.

import { toHex } from '../../base/bytes.ts';
import type { DataForm } from '../../scenario/schema-data.ts';
import type { ActionKind, StepForm } from '../action.ts';
import { kindOf, macroKind } from '../action.ts';
import { basename } from '../paths.ts';
import type { FileView, View } from '../view.ts';
import {
  beside,
  dropPlaces,
  isExecutable,
  isOdd,
  labelOf,
  oddFiles,
  strangerFor,
  victims,
  type Who,
} from './draw.ts';

const LABELS = ['security.ima', 'security.evm'] as const;

/** Labels that files of the machine carry, each once. */
function labels(
  view: View,
): readonly { readonly name: string; readonly hex: string; readonly from: string }[] {
  const out = new Map<string, { name: string; hex: string; from: string }>();
  for (const file of view.files) {
    for (const name of LABELS) {
      const value = labelOf(file, name);
      const hex = value === undefined ? '' : toHex(value);
      if (hex !== '' && !out.has(`${name} ${hex}`)) out.set(`${name} ${hex}`, { name, hex, from: file.path });
    }
  }
  return [...out.values()];
}

/** How a good file of a kind is pushed aside by a stranger in its place. */
const overwritten = (view: View): readonly FileView[] =>
  victims(view, 'program', 'script', 'module', 'kernel');

function dropped(view: View, place: string): readonly FileView[] {
  return view.files.filter((f) => f.path.startsWith(`${place === '/' ? '' : place}/`) && isOdd(view, f));
}

/** A new file of the attacker wherever there is room for one. */
function drop(as: Who, name: string, file: string, data: DataForm, mode: string): ActionKind {
  return kindOf(name, 3, (view) =>
    dropPlaces(view)
      .map((place) => ({ place, path: `${place === '/' ? '' : place}/${file}` }))
      .filter(({ path }) => view.file(path) === undefined)
      .map(({ place, path }) => ({
        op: 'write',
        path,
        data,
        mode,
        as,
        note: `A new file of the attacker in ${place}.`,
      })),
  );
}

const FILE_KINDS: readonly ((as: Who) => ActionKind)[] = [
  (as) => drop(as, 'drop-program', 'stranger', { program: 'stranger' }, '0755'),
  (as) => drop(as, 'drop-text', 'stranger.sh', '#!/bin/sh\nstranger\n', '0755'),
  (as) =>
    kindOf('write-over', 3, (view) =>
      overwritten(view).map((f) => ({
        op: 'write',
        path: f.path,
        data: strangerFor(f.role),
        as,
        note: `${f.path} gets other bytes, in place.`,
      })),
    ),
  (as) =>
    macroKind('replace', 3, (view) =>
      overwritten(view).map((f): StepForm[] => {
        const next = beside(f.path, `${basename(f.path)}.new`);
        const mode = isExecutable(f) ? '0755' : '0644';
        return [
          {
            op: 'write',
            path: next,
            data: strangerFor(f.role),
            mode,
            as,
            note: 'A new file beside the good one,',
          },
          { op: 'rename', path: next, to: f.path, as, note: `that takes the name of ${f.path}.` },
        ];
      }),
    ),
  (as) =>
    kindOf('rename', 2, (view) => {
      const good = victims(view, 'program', 'script');
      return good.flatMap((to) =>
        view
          .of('program', 'script')
          .filter((f) => f.inode.sb === to.inode.sb && f.path !== to.path)
          .map((f) => ({
            op: 'rename',
            path: f.path,
            to: to.path,
            as,
            note: `${f.path} takes the name of ${to.path}.`,
          })),
      );
    }),
  (as) =>
    kindOf('hard-link', 1, (view) =>
      victims(view, 'program')
        .filter((f) => f.type === 'ext4' && view.file(beside(f.path, 'linked')) === undefined)
        .map((f) => ({
          op: 'link',
          path: f.path,
          to: beside(f.path, 'linked'),
          as,
          note: `A second name for ${f.path}.`,
        })),
    ),
  (as) =>
    kindOf('symlink', 1, (view) =>
      oddFiles(view, 'program').map((f) => ({
        op: 'symlink',
        path: f.path,
        to: '/tmp/link',
        as,
        note: 'A link that leads elsewhere.',
      })),
    ),
  (as) =>
    kindOf('xattr-copy', 3, (view) =>
      oddFiles(view, 'program', 'script', 'module', 'data').flatMap((f) =>
        labels(view).map(({ name, hex, from }) => ({
          op: 'setxattr',
          path: f.path,
          name,
          data: { hex },
          as,
          note: `The ${name} of ${from} goes onto ${f.path}.`,
        })),
      ),
    ),
  (as) =>
    kindOf('hash-label', 3, (view) =>
      oddFiles(view, 'program', 'script', 'module', 'data').map((f) => ({
        op: 'setxattr',
        path: f.path,
        name: 'security.ima',
        data: { ima_hash: 'sha256', of: view.plainForm(f.content) },
        as,
        note: `${f.path} gets a hash of its own bytes as its label.`,
      })),
    ),
  (as) =>
    macroKind('drop-labelled', 3, (view) =>
      dropPlaces(view)
        .filter((place) => view.file(`${place === '/' ? '' : place}/labelled`) === undefined)
        .map((place): StepForm[] => {
          const path = `${place === '/' ? '' : place}/labelled`;
          const data = { program: 'stranger' };
          return [
            { op: 'write', path, data, mode: '0755', as, note: `A new file of the attacker in ${place},` },
            {
              op: 'setxattr',
              path,
              name: 'security.ima',
              data: { ima_hash: 'sha256', of: data },
              as,
              note: 'with the hash of its bytes as its label.',
            },
          ];
        }),
    ),
  (as) =>
    kindOf('foreign-signature', 1, (view) =>
      oddFiles(view, 'program').map((f) => ({
        op: 'setxattr',
        path: f.path,
        name: 'security.ima',
        data: { ima_sig: 'intruder', of: view.plainForm(f.content) },
        as,
        note: `${f.path} gets a signature by a key that the attacker made.`,
      })),
    ),
  (as) =>
    kindOf('xattr-remove', 1, (view) =>
      victims(view).flatMap((f) =>
        LABELS.filter((name) => labelOf(f, name) !== undefined).map((name) => ({
          op: 'removexattr',
          path: f.path,
          name,
          as,
          note: `${f.path} loses its ${name}.`,
        })),
      ),
    ),
  (as) =>
    kindOf('chmod', 2, (view) => [
      ...victims(view, 'program')
        .filter((f) => (f.inode.mode & 0o4000) === 0)
        .map((f) => ({
          op: 'chmod',
          path: f.path,
          mode: '04755',
          as,
          note: `${f.path} becomes set-user-id.`,
        })),
      ...oddFiles(view, 'program', 'script')
        .filter((f) => !isExecutable(f))
        .map((f) => ({ op: 'chmod', path: f.path, mode: '0755', as, note: `${f.path} becomes executable.` })),
    ]),
  (as) =>
    kindOf('chown', 2, (view) =>
      [...victims(view, 'program', 'script'), ...oddFiles(view, 'program', 'script', 'data')].flatMap((f) =>
        [0, 1000]
          .filter((uid) => uid !== f.inode.uid)
          .map((uid) => ({
            op: 'chown',
            path: f.path,
            to_uid: uid,
            to_gid: uid,
            as,
            note: `${f.path} belongs to user ${uid} now.`,
          })),
      ),
    ),
  (as) =>
    kindOf('truncate', 1, (view) =>
      victims(view, 'program').map((f) => ({
        op: 'truncate',
        path: f.path,
        len: 64,
        as,
        note: `${f.path} is cut short.`,
      })),
    ),
  (as) =>
    macroKind('copy-aside', 2, (view) =>
      victims(view, 'program').flatMap((f) =>
        dropPlaces(view)
          .filter((p) => dropped(view, p).length === 0)
          .map((p): StepForm[] => {
            const to = `${p === '/' ? '' : p}/copied`;
            const value = labelOf(f, 'security.ima');
            const copy: StepForm = {
              op: 'write',
              path: to,
              data: view.form(f.content),
              mode: '0755',
              as,
              note: `A copy of ${f.path}.`,
            };
            return value === undefined
              ? [copy]
              : [
                  copy,
                  {
                    op: 'setxattr',
                    path: to,
                    name: 'security.ima',
                    data: { hex: toHex(value) },
                    as,
                    note: 'Its label comes along.',
                  },
                ];
          }),
      ),
    ),
];

export function fileKinds(as: Who): readonly ActionKind[] {
  return FILE_KINDS.map((make) => make(as));
}
