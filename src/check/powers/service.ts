// What the machine does by itself: it runs its programs and scripts, maps its libraries, loads its modules,
// and does the tasks of its workload. An attacker who only changes disks or registers waits for this.

import type { ActionKind, StepForm } from '../action.ts';
import { kindOf, macroKind, wholeKind } from '../action.ts';
import { basename } from '../paths.ts';
import { INTERPRETER } from '../uses.ts';
import type { FileView, View } from '../view.ts';
import { isExecutable } from './draw.ts';

/** Files at paths where the owner installed something. */
function installedPlaces(view: View): readonly FileView[] {
  const paths = new Set([...view.subject.installed.values()].flat().map((f) => f.path));
  return view.files.filter((f) => f.type !== 'rootfs' && paths.has(f.path));
}

const MAPPED = 'service';

export const SERVICE_KINDS: readonly ActionKind[] = [
  kindOf('service-runs', 5, (view) =>
    installedPlaces(view)
      .filter((f) => f.role !== 'module' && isExecutable(f))
      .map((f) => ({ op: 'exec', path: f.path, note: `The machine runs ${f.path}.` })),
  ),
  kindOf('service-maps', 2, (view) =>
    view.maps('main:0:0:0').includes(MAPPED)
      ? []
      : installedPlaces(view)
          .filter((f) => f.role === 'program')
          .map((f) => ({
            op: 'mmap',
            path: f.path,
            prot: 'rx',
            map: MAPPED,
            note: `A service maps ${f.path} as a library.`,
          })),
  ),
  macroKind('service-interprets', 1, (view) => {
    const shell = view.of('program').find((f) => /\/(sh|bash|python3?)$/.test(f.path) && isExecutable(f));
    if (shell === undefined) return [];
    return installedPlaces(view)
      .filter((f) => f.role === 'script' || (f.role === 'data' && /\.(sh|py)$/.test(f.path)))
      .map((f): StepForm[] => [
        {
          op: 'exec',
          path: shell.path,
          argv1: f.path,
          note: `The machine runs ${f.path} with ${shell.path}.`,
        },
        {
          op: 'cat',
          path: f.path,
          as: { actor: INTERPRETER },
          note: 'The interpreter reads it and does what it says.',
        },
      ]);
  }),
  kindOf('service-loads-module', 1, (view) =>
    installedPlaces(view)
      .filter((f) => f.path.endsWith('.ko') && view.machine.kernel.modules.length === 0)
      .map((f) => ({ op: 'finit_module', path: f.path, note: `The machine loads ${basename(f.path)}.` })),
  ),
];

/** The tasks that the scenario says must work. */
export const WORKLOAD_KINDS: readonly ActionKind[] = [
  wholeKind('workload', 4, (view) => view.subject.workload.map(({ steps }) => steps)),
];
