// Kinds of action around the power switch: disks edited while the machine is off, other command lines,
// kexec, and the TPM's reset line. After each boot the machine does its own steps again.

import { toHex } from '../../base/bytes.ts';
import { toArray } from '../../base/list.ts';
import { listEntry } from '../../scenario/observe.ts';
import { hashName } from '../../tpm/algorithms.ts';
import type { ActionKind, StepForm } from '../action.ts';
import { kindOf, macroKind, wholeKind } from '../action.ts';
import { contentName } from '../contents.ts';
import { dirname } from '../paths.ts';
import type { FileView, View } from '../view.ts';
import { labelOf, oddFiles, strangerFor, victims, type Who } from './draw.ts';

const OFF: StepForm = {
  op: 'power_off',
  orderly: false,
  note: 'The machine is switched off, and its disk taken out.',
};
const ON: StepForm = { op: 'power_on', note: 'The disk is put back, and the machine started.' };

/** What the machine does at each start. */
const own = (view: View): readonly StepForm[] => view.subject.document.steps;

/** Edits of a file in another computer, with all that belongs to it. */
function offline(view: View, edits: readonly StepForm[]): readonly StepForm[] {
  return [OFF, ...edits, ON, ...own(view)];
}

const edit = (f: FileView, more: object, note: string): StepForm => ({
  op: 'disk_edit',
  disk: f.disk,
  path: f.inside,
  ...more,
  note,
});

/** Files on disks that the owner vouches for. */
const onDisk = (view: View): readonly FileView[] =>
  victims(view).filter((f) => f.disk !== null && !f.disk.startsWith('dm-'));

function swaps(view: View): readonly (readonly StepForm[])[] {
  const all = onDisk(view).filter((f) => f.role === 'program');
  return all.flatMap((to) =>
    view.files
      .filter(
        (f) =>
          f.disk === to.disk && f.role === 'program' && contentName(f.content) !== contentName(to.content),
      )
      .map((from) =>
        offline(view, [
          edit(from, { rename: to.inside }, `${from.path} takes the name of ${to.path}, label and all.`),
        ]),
      ),
  );
}

/** Somebody with the disk in another computer. */
export const DISK_EDITOR_KINDS: readonly ActionKind[] = [
  wholeKind('offline-content', 3, (view) =>
    onDisk(view)
      .filter((f) => f.role !== 'data')
      .map((f) => offline(view, [edit(f, { data: strangerFor(f.role) }, `${f.path} gets other bytes.`)])),
  ),
  wholeKind('offline-hash-label', 3, (view) =>
    onDisk(view)
      .filter((f) => f.role !== 'data')
      .map((f) =>
        offline(view, [
          edit(f, { data: strangerFor(f.role) }, `${f.path} gets other bytes,`),
          edit(
            f,
            { xattr: 'security.ima', value: { ima_hash: 'sha256', of: strangerFor(f.role) } },
            'and the hash of these as its label.',
          ),
        ]),
      ),
  ),
  wholeKind('offline-unlabel', 2, (view) =>
    onDisk(view).flatMap((f) =>
      ['security.ima', 'security.evm']
        .filter((name) => labelOf(f, name) !== undefined)
        .map((xattr) =>
          offline(view, [
            edit(f, { data: strangerFor(f.role) }, `${f.path} gets other bytes,`),
            edit(f, { xattr }, `and its ${xattr} is removed.`),
          ]),
        ),
    ),
  ),
  wholeKind('offline-mode', 2, (view) =>
    onDisk(view)
      .filter((f) => f.role === 'program' && (f.inode.mode & 0o4000) === 0)
      .map((f) => offline(view, [edit(f, { mode: '4755' }, `${f.path} becomes set-user-id.`)])),
  ),
  wholeKind('offline-owner', 2, (view) =>
    onDisk(view)
      .filter((f) => f.inode.uid === 0 && f.role !== 'data')
      .map((f) =>
        offline(view, [
          edit(f, { data: strangerFor(f.role) }, `${f.path} gets other bytes,`),
          edit(f, { owner: '1000:1000' }, 'and another owner.'),
        ]),
      ),
  ),
  wholeKind('offline-other-label', 2, (view) =>
    onDisk(view).flatMap((f) =>
      f.inode.xattrs
        .filter((x) => /^security\.(SMACK64\w*|selinux|capability)$/.test(x.name))
        .map((x) =>
          offline(view, [edit(f, { xattr: x.name, value: 'other' }, `${x.name} of ${f.path} is changed.`)]),
        ),
    ),
  ),
  wholeKind('offline-swap', 2, swaps),
  wholeKind('offline-drop', 2, (view) =>
    onDisk(view)
      .slice(0, 1)
      .filter((f) => view.file(`${dirname(f.path)}/brought`) === undefined)
      .map((f) => {
        const at = {
          ...f,
          path: `${dirname(f.path)}/brought`,
          inside: f.inside.replace(/[^/]*$/, 'brought'),
        };
        return offline(view, [
          edit(at, { data: { program: 'stranger' }, mode: '0755' }, 'A new program is put on the disk.'),
        ]);
      }),
  ),
];

export const REBOOT_KINDS: readonly ActionKind[] = [
  wholeKind('reboot', 1, (view) => [
    [{ op: 'power_cycle', note: 'The machine is started anew.' }, ...own(view)],
  ]),
];

const CMDLINES: readonly (readonly [words: string, note: string])[] = [
  ['ima_appraise=off', 'without appraisal'],
  ['ima_appraise=log', 'with appraisal that only logs'],
  ['ima_appraise=fix', 'in fix mode, which labels whatever it finds'],
  ['evm=fix', 'with EVM in fix mode'],
  ['ipe.enforce=0', 'with IPE that only logs'],
  ['lsm=capability', 'without IPE'],
  ['init=/sbin/other', 'with another first program'],
];

/** Somebody at the boot loader. */
export const CMDLINE_KINDS: readonly ActionKind[] = [
  wholeKind('boot-with', 3, (view) =>
    CMDLINES.filter(([words]) => !view.machine.kernel.cmdline.includes(words)).map(([words, note]) => [
      {
        op: 'power_cycle',
        boot: { cmdline: `${view.subject.scenario.machine.cmdline ?? ''} ${words}`.trim() },
        note: `The machine is started ${note}: ${words}.`,
      },
      ...own(view),
    ]),
  ),
  wholeKind('boot-without-options', 2, (view) =>
    view.machine.kernel.cmdline === ''
      ? []
      : [
          [
            { op: 'power_cycle', boot: { cmdline: '' }, note: 'The machine is started without any option.' },
            ...own(view),
          ],
        ],
  ),
];

/** The good initramfs that a kernel is loaded with, where there is one: without it the next kernel panics. */
function withInitramfs(view: View): { readonly initrd?: string } {
  const found = view.files.find((f) => /initr/.test(f.path) && view.trusted(f));
  return found === undefined ? {} : { initrd: found.path };
}

/** Kernels that a kexec can be given. */
const kernels = (view: View): readonly FileView[] => view.of('kernel');

const KEXEC_KINDS: readonly ((as: Who) => ActionKind)[] = [
  (as) =>
    kindOf('drop-kernel', 2, (view) =>
      view.file('/tmp/stranger.kernel') === undefined
        ? [
            {
              op: 'write',
              path: '/tmp/stranger.kernel',
              data: { kernel_image: 'stranger' },
              as,
              note: 'A kernel of the attacker.',
            },
          ]
        : [],
    ),
  (as) =>
    kindOf('kexec-file', 3, (view) =>
      oddFiles(view, 'kernel').map((f) => ({
        op: 'kexec_file',
        path: f.path,
        ...withInitramfs(view),
        cmdline: view.machine.kernel.cmdline,
        as,
        note: `${f.path} is loaded as the next kernel.`,
      })),
    ),
  (as) =>
    kindOf('kexec-initramfs', 2, (view) =>
      kernels(view)
        .filter((f) => view.trusted(f))
        .flatMap((f) =>
          oddFiles(view, 'data', 'script').map((i) => ({
            op: 'kexec_file',
            path: f.path,
            initrd: i.path,
            cmdline: view.machine.kernel.cmdline,
            as,
            note: `The good kernel is loaded with ${i.path} as its initramfs.`,
          })),
        ),
    ),
  (as) =>
    kindOf('kexec-segments', 2, (view) =>
      view.machine.kernel.kexec === null
        ? [{ op: 'kexec_load', as, note: 'A kernel is loaded from memory, without a file.' }]
        : [],
    ),
  (as) =>
    macroKind('kexec-cmdline', 3, (view) =>
      kernels(view)
        .filter((f) => view.trusted(f))
        .flatMap((f) =>
          CMDLINES.slice(0, 5)
            .filter(([words]) => !view.machine.kernel.cmdline.includes(words))
            .map(([words]): StepForm[] => [
              {
                op: 'kexec_file',
                path: f.path,
                ...withInitramfs(view),
                cmdline: `${view.machine.kernel.cmdline} ${words}`.trim(),
                as,
                note: `The good kernel is loaded, with ${words} on its command line.`,
              },
            ]),
        ),
    ),
  () =>
    wholeKind('kexec-jump', 3, (view) =>
      view.machine.kernel.kexec === null
        ? []
        : [
            [
              { op: 'kexec_reboot', note: 'kexec -e: the loaded kernel runs, registers stay as they are.' },
              ...own(view),
            ],
          ],
    ),
];

export function kexecKinds(as: Who): readonly ActionKind[] {
  return KEXEC_KINDS.map((make) => make(as));
}

/** Digests of one entry for each bank, as a step writes them. */
function digestsOf(
  view: View,
  entry: { readonly digests: readonly Uint8Array[] },
): { readonly [bank: string]: string } {
  const { slots } = view.machine.ima;
  return Object.fromEntries(
    slots.flatMap((s, i) => {
      const digest = entry.digests[i];
      return s.bank === null || digest === undefined ? [] : [[hashName(s.bank), toHex(digest)] as const];
    }),
  );
}

/** Entries that a verifier likes: all that were there at the start. */
function goodEntries(view: View): readonly { readonly digests: readonly Uint8Array[] }[] {
  const { list, sha1Idx } = view.machine.ima;
  const before = view.subject.start.machine.ima.list.length;
  return toArray(list)
    .slice(0, before)
    .filter((e, i) => e.pcr === 10 && !listEntry(e, i, sha1Idx).violation);
}

/** Somebody who reaches the TPM: through its device, or its reset line. */
export const TPM_KINDS: readonly ActionKind[] = [
  kindOf('extend-register', 2, () => [
    {
      op: 'pcr_extend',
      pcr: 10,
      data: 'stranger',
      as: { actor: 'root' },
      note: 'A program extends PCR 10 through /dev/tpm0.',
    },
  ]),
  kindOf('reset-register', 1, () => [
    { op: 'pcr_reset', pcr: 10, as: { actor: 'root' }, note: 'A program asks for a reset of PCR 10.' },
  ]),
  kindOf('reset-tpm', 3, () => [
    { op: 'tpm_reset', startup: 'clear', note: 'The reset line of the TPM is pulled; the kernel runs on.' },
  ]),
  macroKind('sleep', 1, () => [
    [
      { op: 'suspend', note: 'The machine sleeps,' },
      { op: 'resume', firmware: 'careless', note: 'and wakes up with firmware that does not care.' },
    ],
  ]),
  macroKind('rebuild-register', 2, (view) => {
    const entries = goodEntries(view);
    if (view.machine.tpm === null || entries.length === 0 || entries.length > 12) return [];
    return [
      [
        { op: 'tpm_reset', startup: 'clear', note: 'The reset line of the TPM is pulled; PCR 10 is empty.' },
        ...entries.map(
          (e): StepForm => ({
            op: 'pcr_extend',
            pcr: 10,
            digests: digestsOf(view, e),
            as: { actor: 'root' },
            note: 'An entry that a verifier likes is put into PCR 10 again.',
          }),
        ),
      ],
    ];
  }),
];
