// Kinds of action that use code: programs by path, by descriptor and from memory, libraries, interpreters,
// modules and firmware, by file and by buffer.

import type { ActionKind, StepForm } from '../action.ts';
import { kindOf, macroKind } from '../action.ts';
import { interpreterOf } from '../contents.ts';
import { basename } from '../paths.ts';
import { INTERPRETER } from '../uses.ts';
import type { FileView, View } from '../view.ts';
import { actorKey, isExecutable, oddFiles, victims, type Who } from './draw.ts';

const FIRMWARE = '/sys/devices/virtual/misc/test_firmware/trigger_request';
const FIRMWARE_FOLDER = '/lib/firmware';

/** Programs that read a file and do what it says: named like shells, or by `#!` of a script. */
function interpreters(view: View): readonly FileView[] {
  return view
    .of('program')
    .filter((f) => /\/(sh|bash|dash|python3?|perl|lua)$/.test(f.path) && isExecutable(f));
}

function loaders(view: View): readonly FileView[] {
  const named = new Set(view.of('program').flatMap((f) => interpreterOf(f.content) ?? []));
  return view.of('program').filter((f) => named.has(f.path));
}

/** An interpreter is started with a file as its argument. */
function startsWith(sh: FileView, path: string, as: Who): StepForm {
  const note = `${basename(sh.path)} is started with ${path} as its argument.`;
  return { op: 'exec', path: sh.path, argv1: path, as, note };
}

/** What an interpreter does with a file it was given. */
function reads(path: string, as: Who): StepForm {
  return {
    op: 'cat',
    path,
    as: { ...as, actor: INTERPRETER },
    note: 'The interpreter reads the file and does what it says.',
  };
}

const CODE_KINDS: readonly ((as: Who) => ActionKind)[] = [
  (as) =>
    kindOf('run', 6, (view) =>
      oddFiles(view, 'program', 'script')
        .filter(isExecutable)
        .map((f) => ({ op: 'exec', path: f.path, as, note: `${f.path} is run.` })),
    ),
  (as) =>
    macroKind('run-by-descriptor', 2, (view) =>
      oddFiles(view, 'program')
        .filter(isExecutable)
        .map((f): StepForm[] => [
          { op: 'open', path: f.path, slot: 'program', as, note: `${f.path} is opened,` },
          { op: 'fexec', slot: 'program', as, note: 'and run by its descriptor.' },
        ]),
    ),
  (as) =>
    macroKind('run-from-memory', 2, () => [
      [
        {
          op: 'memfd',
          slot: 'memory',
          name: 'stranger',
          data: { program: 'stranger' },
          as,
          note: 'A program is written into memory,',
        },
        { op: 'fexec', slot: 'memory', as, note: 'and run from there.' },
      ],
    ]),
  (as) =>
    kindOf('map-library', 3, (view) =>
      view.maps(actorKey(as)).includes('library')
        ? []
        : oddFiles(view, 'program').map((f) => ({
            op: 'mmap',
            path: f.path,
            prot: 'rx',
            map: 'library',
            as,
            note: `A process maps ${f.path} as code, as the dynamic linker would.`,
          })),
    ),
  (as) =>
    macroKind('map-then-protect', 2, (view) =>
      view.maps(actorKey(as)).includes('late')
        ? []
        : oddFiles(view, 'program').map((f): StepForm[] => [
            { op: 'mmap', path: f.path, prot: 'r', map: 'late', as, note: `${f.path} is mapped to be read,` },
            { op: 'mprotect', map: 'late', prot: 'rx', as, note: 'and made executable afterwards.' },
          ]),
    ),
  (as) =>
    macroKind('preload', 2, (view) =>
      victims(view, 'program')
        .filter(isExecutable)
        .slice(0, 1)
        .flatMap((app) =>
          oddFiles(view, 'program').map((f): StepForm[] => [
            { op: 'exec', path: app.path, as, note: `A good program is started with LD_PRELOAD=${f.path}.` },
            {
              op: 'mmap',
              path: f.path,
              prot: 'rx',
              map: 'preloaded',
              as: { ...as, actor: 'loader' },
              note: 'The dynamic linker maps the library.',
            },
          ]),
        ),
    ),
  (as) =>
    macroKind('run-by-loader', 2, (view) =>
      loaders(view).flatMap((ld) =>
        oddFiles(view, 'program').map((f): StepForm[] => [
          { op: 'exec', path: ld.path, argv1: f.path, as, note: `${ld.path} is asked to run ${f.path}.` },
          {
            op: 'mmap',
            path: f.path,
            prot: 'rx',
            map: 'loaded',
            as: { ...as, actor: 'loader' },
            note: 'The dynamic linker maps it: no exec bit, no execve.',
          },
        ]),
      ),
    ),
  (as) =>
    macroKind('interpret', 3, (view) =>
      interpreters(view)
        .slice(0, 2)
        .flatMap((sh) =>
          oddFiles(view, 'script', 'data')
            .filter((f) => f.path !== sh.path)
            .map((f): StepForm[] => [startsWith(sh, f.path, as), reads(f.path, as)]),
        ),
    ),
  (as) =>
    macroKind('old-personality', 1, (view) =>
      view.maps(actorKey(as)).includes('implied')
        ? []
        : oddFiles(view, 'program')
            .slice(0, 2)
            .map((f): StepForm[] => [
              {
                op: 'personality',
                persona: 0x400000,
                as,
                note: 'READ_IMPLIES_EXEC, as for very old programs.',
              },
              {
                op: 'mmap',
                path: f.path,
                prot: 'r',
                map: 'implied',
                as,
                note: `${f.path} is mapped to be read, which makes it executable now.`,
              },
            ]),
    ),
  (as) =>
    macroKind('interpret-for-writing', 1, (view) =>
      interpreters(view)
        .slice(0, 1)
        .flatMap((sh) =>
          oddFiles(view, 'script', 'data')
            .filter((f) => f.path !== sh.path)
            .map((f): StepForm[] => [
              startsWith(sh, f.path, as),
              {
                op: 'read',
                path: f.path,
                flags: 'rdwr',
                as: { ...as, actor: INTERPRETER },
                note: 'It opens the file for reading and writing, reads it and does what it says.',
              },
            ]),
        ),
    ),
  (as) =>
    macroKind('shebang', 2, (view) =>
      oddFiles(view, 'program')
        .filter((f) => isExecutable(f) && view.file('/tmp/shebang') === undefined)
        .map((f): StepForm[] => [
          {
            op: 'write',
            path: '/tmp/shebang',
            data: `#!${f.path}\n`,
            mode: '0755',
            as,
            note: 'A script that names the program as its interpreter.',
          },
          { op: 'exec', path: '/tmp/shebang', as, note: 'The script is run.' },
        ]),
    ),
];

export function codeKinds(as: Who): readonly ActionKind[] {
  return CODE_KINDS.map((make) => make(as));
}

const MEMORY_KINDS: readonly ((as: Who) => ActionKind)[] = [
  (as) =>
    macroKind('anonymous-code', 2, (view) =>
      view.maps(actorKey(as)).includes('heap')
        ? []
        : [
            [
              { op: 'mmap', prot: 'rw', map: 'heap', as, note: 'A process asks for memory,' },
              { op: 'pokemap', map: 'heap', data: 'stranger', as, note: 'writes into it,' },
              { op: 'mprotect', map: 'heap', prot: 'rx', as, note: 'and makes it executable.' },
            ],
          ],
    ),
  (as) =>
    macroKind('private-pages', 2, (view) =>
      view.maps(actorKey(as)).includes('private')
        ? []
        : victims(view, 'program')
            .slice(0, 2)
            .map((f): StepForm[] => [
              {
                op: 'mmap',
                path: f.path,
                prot: 'rw',
                map: 'private',
                as,
                note: `${f.path} is mapped privately,`,
              },
              {
                op: 'pokemap',
                map: 'private',
                data: 'stranger',
                as,
                note: 'its pages are changed in memory,',
              },
              { op: 'mprotect', map: 'private', prot: 'rx', as, note: 'and made executable.' },
            ]),
    ),
];

/** Executable memory without a file: what a process writes itself. */
export function memoryKinds(as: Who): readonly ActionKind[] {
  return MEMORY_KINDS.map((make) => make(as));
}

const KERNEL_KINDS: readonly ((as: Who) => ActionKind)[] = [
  (as) =>
    kindOf('drop-module', 2, (view) =>
      view.file('/tmp/stranger.ko') === undefined
        ? [
            {
              op: 'write',
              path: '/tmp/stranger.ko',
              data: { module: 'stranger' },
              as,
              note: 'A kernel module of the attacker.',
            },
          ]
        : [],
    ),
  (as) =>
    kindOf('module-file', 3, (view) =>
      oddFiles(view, 'module').map((f) => ({
        op: 'finit_module',
        path: f.path,
        as,
        note: `${f.path} is loaded by its descriptor.`,
      })),
    ),
  (as) =>
    kindOf('module-buffer', 3, (view) =>
      oddFiles(view, 'module').map((f) => ({
        op: 'init_module',
        path: f.path,
        as,
        note: `The bytes of ${f.path} are loaded from memory.`,
      })),
    ),
  (as) =>
    kindOf('drop-firmware', 2, (view) =>
      view.file(`${FIRMWARE_FOLDER}/stranger.bin`) === undefined
        ? [
            {
              op: 'write',
              path: `${FIRMWARE_FOLDER}/stranger.bin`,
              data: 'stranger firmware\n',
              as,
              note: 'A file where drivers look for firmware.',
            },
          ]
        : [],
    ),
  (as) =>
    kindOf('firmware', 3, (view) =>
      oddFiles(view)
        .filter((f) => f.path.startsWith(`${FIRMWARE_FOLDER}/`) && f.path.endsWith('.bin'))
        .map((f) => ({
          op: 'syswrite',
          path: FIRMWARE,
          data: basename(f.path),
          as,
          note: `A driver asks for ${basename(f.path)}.`,
        })),
    ),
  (as) =>
    macroKind('firmware-path', 1, (view) =>
      view.machine.kernel.sysctl.get('firmware_class.path') === undefined
        ? [
            [
              {
                op: 'write',
                path: '/tmp/elsewhere.bin',
                data: 'stranger firmware\n',
                as,
                note: 'Firmware in a folder that everybody can write.',
              },
              {
                op: 'syswrite',
                path: '/sys/module/firmware_class/parameters/path',
                data: '/tmp',
                as,
                note: 'Drivers look there first from now on.',
              },
              { op: 'syswrite', path: FIRMWARE, data: 'elsewhere.bin', as, note: 'A driver asks for it.' },
            ],
          ]
        : [],
    ),
];

/** What only root hands to the kernel. */
export function kernelKinds(as: Who): readonly ActionKind[] {
  return KERNEL_KINDS.map((make) => make(as));
}
