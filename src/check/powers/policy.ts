// Kinds of action on policies, keys and switches: IMA rules, IPE policies old and foreign, keyrings, EVM's
// node, enforcement. Signed policies that were ever given to the machine are in the attacker's hands too.

import { toHex } from '../../base/bytes.ts';
import type { ActionKind, StepForm } from '../action.ts';
import { kindOf, macroKind } from '../action.ts';
import { contentName } from '../contents.ts';
import type { View } from '../view.ts';
import { labelOf, type oddFiles, type Who } from './draw.ts';

const IPE = '/sys/kernel/security/ipe';
const EVM = '/sys/kernel/security/integrity/evm/evm';

const RULES: readonly string[] = [
  'dont_appraise func=BPRM_CHECK\ndont_appraise func=MMAP_CHECK\ndont_appraise func=FILE_CHECK\n',
  'dont_measure func=BPRM_CHECK\ndont_measure func=MMAP_CHECK\ndont_measure func=FILE_CHECK\n',
  'audit func=BPRM_CHECK\n',
];

/** Policies that the machine's own steps and tasks gave to IPE: signed, and perhaps old. */
function knownPolicies(view: View): readonly { readonly data: unknown; readonly name: string }[] {
  const own = [...view.subject.document.steps, ...view.subject.workload.flatMap((t) => t.steps)];
  const out = new Map<string, { data: unknown; name: string }>();
  for (const step of own) {
    const path = step['path'];
    if (
      step.op !== 'syswrite' ||
      typeof path !== 'string' ||
      !/\/ipe\/(new_policy|policies\/.*\/update)$/.test(path)
    )
      continue;
    const name = /policy_name=(\w+)/.exec(JSON.stringify(step['data']))?.[1];
    if (name !== undefined) out.set(JSON.stringify(step['data']), { data: step['data'], name });
  }
  return [...out.values()];
}

const loaded = (view: View): readonly string[] =>
  [...view.machine.ipe.directories.values()].map((d) => d.name);

export function policyKinds(as: Who): readonly ActionKind[] {
  return [
    kindOf('policy-rules', 3, () =>
      RULES.map((data) => ({
        op: 'policy_row',
        data,
        as,
        note: 'Rules of the attacker are written to the policy node.',
      })),
    ),
    macroKind('policy-by-path', 1, (view) =>
      view.file('/tmp/rules') === undefined
        ? [
            [
              {
                op: 'write',
                path: '/tmp/rules',
                data: RULES[0],
                as,
                note: 'A file with rules of the attacker,',
              },
              {
                op: 'policy_row',
                data: '/tmp/rules\n',
                as,
                note: 'whose path is written to the policy node.',
              },
            ],
          ]
        : [],
    ),
    kindOf('add-key', 2, () => [
      {
        op: 'add_key',
        type: 'asymmetric',
        desc: '',
        data: { cert: 'intruder' },
        ring: '%.ima',
        as,
        note: 'The attacker offers a key of their own for .ima.',
      },
    ]),
    kindOf('evm-node', 1, () =>
      ['1', '4', '0x80000000'].map((data) => ({
        op: 'syswrite',
        path: EVM,
        data,
        as,
        note: `${data} is written to EVM's node.`,
      })),
    ),
  ];
}

/** Root with CAP_MAC_ADMIN: what IPE lets them do. */
export function macAdminKinds(as: Who): readonly ActionKind[] {
  return [
    kindOf('ipe-permissive', 2, (view) =>
      view.machine.ipe.enforce
        ? [{ op: 'syswrite', path: `${IPE}/enforce`, data: '0', as, note: 'IPE is told to log only.' }]
        : [],
    ),
    kindOf('ipe-own-policy', 2, () => [
      {
        op: 'syswrite',
        path: `${IPE}/new_policy`,
        data: { cms: 'intruder', of: 'policy_name=stranger policy_version=9.0.0\nDEFAULT action=ALLOW\n' },
        as,
        note: 'A policy of the attacker, signed by a key of their own.',
      },
    ]),
    ...ipeRollbackKinds(as),
  ];
}

/** Policies that are signed well and were given to the machine before. */
export function ipeRollbackKinds(as: Who): readonly ActionKind[] {
  return [
    kindOf('ipe-old-policy', 3, (view) =>
      knownPolicies(view)
        .filter(({ name }) => !loaded(view).includes(name))
        .map(({ data, name }) => ({
          op: 'syswrite',
          path: `${IPE}/new_policy`,
          data,
          as,
          note: `A policy ${name} that was signed once is loaded.`,
        })),
    ),
    kindOf('ipe-old-update', 3, (view) =>
      knownPolicies(view)
        .filter(({ name }) => loaded(view).includes(name))
        .map(({ data, name }) => ({
          op: 'syswrite',
          path: `${IPE}/policies/${name}/update`,
          data,
          as,
          note: `${name} is updated with a policy that was signed once.`,
        })),
    ),
    kindOf('ipe-activate', 3, (view) =>
      loaded(view).map((name) => ({
        op: 'syswrite',
        path: `${IPE}/policies/${name}/active`,
        data: '1',
        as,
        note: `${name} is put in force.`,
      })),
    ),
    kindOf('ipe-delete', 2, (view) =>
      loaded(view).map((name) => ({
        op: 'syswrite',
        path: `${IPE}/policies/${name}/delete`,
        data: '1',
        as,
        note: `${name} is deleted.`,
      })),
    ),
  ];
}

/** Files that were signed well and are old. */
export function fileRollbackKinds(as: Who): readonly ActionKind[] {
  const outdated = (view: View): ReturnType<typeof oddFiles> =>
    view.files.filter((f) => view.subject.outdated.has(contentName(f.content)));
  return [
    kindOf('old-in-place', 3, (view) =>
      outdated(view).flatMap((old) =>
        view.files
          .filter(
            (f) =>
              f.inode.sb === old.inode.sb && f.role === old.role && view.trusted(f) && f.path !== old.path,
          )
          .map((f) => ({
            op: 'rename',
            path: old.path,
            to: f.path,
            as,
            note: `The old ${old.path} takes the name of ${f.path}, with its good label.`,
          })),
      ),
    ),
    macroKind('old-copied', 3, (view) =>
      outdated(view).flatMap((old) =>
        view.files
          .filter(
            (f) =>
              f.role === old.role &&
              f.type !== 'rootfs' &&
              view.trusted(f) &&
              f.path !== old.path &&
              !view.subject.outdated.has(contentName(f.content)),
          )
          .map((f): StepForm[] => [
            {
              op: 'write',
              path: f.path,
              data: view.form(old.content),
              as,
              note: `${f.path} gets the bytes of an old version,`,
            },
            ...['security.ima', 'security.evm'].flatMap((name) => {
              const value = labelOf(old, name);
              return value === undefined
                ? []
                : [
                    {
                      op: 'setxattr',
                      path: f.path,
                      name,
                      data: { hex: toHex(value) },
                      as,
                      note: `and its ${name}.`,
                    },
                  ];
            }),
          ]),
      ),
    ),
    kindOf('run-old', 4, (view) =>
      outdated(view)
        .filter((f) => f.role !== 'module')
        .map((f) => ({ op: 'exec', path: f.path, as, note: `The old ${f.path} is run.` })),
    ),
    kindOf('load-old', 2, (view) =>
      outdated(view)
        .filter((f) => f.role === 'module')
        .map((f) => ({ op: 'finit_module', path: f.path, as, note: `The old ${f.path} is loaded.` })),
    ),
  ];
}
