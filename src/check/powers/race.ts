// Kinds of action of a second process that races the first one, of whoever writes below a file system, and
// of whoever controls a mount.

import type { ActionKind, StepForm } from '../action.ts';
import { kindOf, macroKind } from '../action.ts';
import type { View } from '../view.ts';
import { actorKey, isExecutable, oddFiles, strangerFor, victims, type Who } from './draw.ts';

const RACER: Who = { actor: 'racer' };
const KEY = actorKey(RACER);

const holds = (view: View, slot: string): boolean => view.slots(KEY).includes(slot);
const maps = (view: View, name: string): boolean => view.maps(KEY).includes(name);
const program = (view: View): { readonly phase: string | null } => {
  const running = view.now.memory.programs['program'];
  if (running === undefined) return { phase: null };
  return { phase: view.machine.kernel.tasks.get(running.pid)?.bprm?.phase ?? null };
};

/** A second process beside the one that does the work. */
export const RACE_KINDS: readonly ActionKind[] = [
  kindOf('hold-for-write', 3, (view) =>
    holds(view, 'held')
      ? []
      : victims(view, 'program', 'script').map((f) => ({
          op: 'open',
          path: f.path,
          slot: 'held',
          flags: 'rdwr',
          as: RACER,
          note: `A second process opens ${f.path} for writing and keeps it.`,
        })),
  ),
  kindOf('hold-for-read', 1, (view) =>
    holds(view, 'kept')
      ? []
      : victims(view, 'program').map((f) => ({
          op: 'open',
          path: f.path,
          slot: 'kept',
          flags: 'rdonly',
          as: RACER,
          note: `A second process keeps ${f.path} open.`,
        })),
  ),
  kindOf('write-held', 4, (view) =>
    holds(view, 'held')
      ? [
          {
            op: 'pwritefd',
            slot: 'held',
            data: strangerFor('program'),
            off: 0,
            as: RACER,
            note: 'It writes through the descriptor that it holds.',
          },
        ]
      : [],
  ),
  kindOf('release', 2, (view) =>
    ['held', 'kept']
      .filter((slot) => holds(view, slot))
      .map((slot) => ({ op: 'close', slot, as: RACER, note: 'It lets go of the file.' })),
  ),
  kindOf('map-shared', 3, (view) =>
    maps(view, 'shared')
      ? []
      : victims(view, 'program', 'script').map((f) => ({
          op: 'mmap',
          path: f.path,
          flags: 'rdwr',
          prot: 'rw',
          share: 'shared',
          map: 'shared',
          as: RACER,
          note: `A second process maps ${f.path} shared and writable.`,
        })),
  ),
  kindOf('store-shared', 3, (view) =>
    maps(view, 'shared')
      ? [
          {
            op: 'pokemap',
            map: 'shared',
            data: strangerFor('program'),
            as: RACER,
            note: 'It stores into the mapping; no write(2) is made.',
          },
        ]
      : [],
  ),
  kindOf('unmap', 1, (view) =>
    maps(view, 'shared')
      ? [{ op: 'munmap', map: 'shared', as: RACER, note: 'It takes the mapping away.' }]
      : [],
  ),
  kindOf('exec-begin', 3, (view) =>
    program(view).phase === null
      ? victims(view, 'program')
          .filter(isExecutable)
          .map((f) => ({ op: 'exec_begin', path: f.path, note: `The machine begins to run ${f.path}.` }))
      : [],
  ),
  kindOf('exec-step', 3, (view) =>
    program(view).phase === null ? [] : [{ op: 'exec_step', note: 'The execve goes on by one phase.' }],
  ),
  kindOf('exec-finish', 3, (view) =>
    program(view).phase === null ? [] : [{ op: 'exec_finish', note: 'The program runs.' }],
  ),
];

/** The disk's own controller, a storage server: blocks change below the mounted file system. */
export const BLOCK_KINDS: readonly ActionKind[] = [
  kindOf('change-block', 4, (view) =>
    victims(view)
      .filter((f) => f.disk !== null && f.role !== 'data')
      .map((f) => ({
        op: 'block_write',
        disk: belowVerity(view, f.disk ?? ''),
        path: f.inside,
        data: strangerFor(f.role),
        note: `The storage gives other blocks for ${f.path} from now on.`,
      })),
  ),
  kindOf('memory-pressure', 4, () => [
    { op: 'memory_pressure', note: 'Memory is short: cached pages go, inodes stay.' },
  ]),
];

/** The disk that a verified device stands on. */
function belowVerity(view: View, device: string): string {
  const found = view.machine.kernel.dm.find((d) => `dm-${d.minor}` === device);
  return found?.active?.below ?? device;
}

const LAYERS: readonly StepForm[] = [
  { op: 'mkdir', path: '/tmp/layers', as: { actor: 'root' }, note: 'Room for the upper layer,' },
  {
    op: 'mount',
    src: 'none',
    target: '/tmp/layers',
    type: 'tmpfs',
    as: { actor: 'root' },
    note: 'in memory,',
  },
  { op: 'mkdir', path: '/tmp/layers/upper', as: { actor: 'root' } },
  { op: 'mkdir', path: '/tmp/layers/work', as: { actor: 'root' } },
  { op: 'mkdir', path: '/tmp/merged', as: { actor: 'root' } },
];

const mountPoint = (view: View): string | undefined =>
  view.directories.find((d) => d.type === 'ext4' && !d.path.startsWith('/tmp'))?.path;

/** Somebody who controls what is mounted where. */
export const MOUNT_KINDS: readonly ActionKind[] = [
  macroKind('mount-tmpfs', 2, (view) =>
    view.file('/tmp/memory/stranger') !== undefined || view.directories.some((d) => d.path === '/tmp/memory')
      ? []
      : [
          [
            { op: 'mkdir', path: '/tmp/memory', as: { actor: 'root' }, note: 'A folder,' },
            {
              op: 'mount',
              src: 'none',
              target: '/tmp/memory',
              type: 'tmpfs',
              as: { actor: 'root' },
              note: 'a file system in memory on it,',
            },
            {
              op: 'write',
              path: '/tmp/memory/stranger',
              data: { program: 'stranger' },
              mode: '0755',
              as: { actor: 'root' },
              note: 'and a program there.',
            },
          ],
        ],
  ),
  macroKind('mount-overlay', 3, (view) => {
    const lower = mountPoint(view);
    if (lower === undefined || view.directories.some((d) => d.type === 'overlay')) return [];
    return [
      [
        ...LAYERS,
        {
          op: 'mount',
          src: 'overlay',
          target: '/tmp/merged',
          type: 'overlay',
          data: `lowerdir=${lower},upperdir=/tmp/layers/upper,workdir=/tmp/layers/work`,
          as: { actor: 'root' },
          note: `${lower} is shown again, with a layer that can be written.`,
        },
      ],
    ];
  }),
  kindOf('write-overlay', 3, (view) =>
    view.files
      .filter((f) => f.type === 'overlay' && view.trusted(f) && f.role === 'program')
      .map((f) => ({
        op: 'write',
        path: f.path,
        data: strangerFor(f.role),
        as: { actor: 'root' },
        note: `${f.path} is changed in the upper layer.`,
      })),
  ),
  macroKind('mount-fuse', 2, (view) =>
    view.directories.some((d) => d.type === 'fuse')
      ? []
      : [
          [
            { op: 'mkdir', path: '/tmp/fuse', as: { actor: 'root' }, note: 'A folder,' },
            {
              op: 'mount',
              src: 'none',
              target: '/tmp/fuse',
              type: 'fuse',
              as: { actor: 'root' },
              note: 'a file system on it that a program of the attacker serves,',
            },
            {
              op: 'write',
              path: '/tmp/fuse/stranger',
              data: { program: 'stranger' },
              mode: '0755',
              as: { actor: 'root' },
              note: 'and a program there.',
            },
          ],
        ],
  ),
  kindOf('bind-over', 2, (view) => {
    const at = mountPoint(view);
    return at === undefined || view.directories.some((d) => d.path === at && d.type !== 'ext4')
      ? []
      : [
          {
            op: 'mount',
            src: '/tmp',
            target: at,
            flags: 'bind',
            as: { actor: 'root' },
            note: `/tmp is shown in place of ${at}.`,
          },
        ];
  }),
  kindOf('run-mounted', 4, (view) =>
    oddFiles(view, 'program', 'script')
      .filter((f) => isExecutable(f) && f.type !== 'ext4')
      .map((f) => ({ op: 'exec', path: f.path, as: { actor: 'root' }, note: `${f.path} is run.` })),
  ),
];
