// Ready machines for those who have a policy and no scenario yet: what is on their disks, who signed it, and
// what must work. The policies are loaded as the machine would load them at boot.

import { stringify } from 'yaml';
import type { StepForm } from './action.ts';

export const MACHINES = ['minimal', 'server', 'appliance'] as const;
export type MachineName = (typeof MACHINES)[number];

/** A policy to put on a machine. */
export interface PolicyText {
  readonly kind: 'ima' | 'ipe';
  readonly name: string;
  readonly text: string;
}

const SIGNED = { 'security.ima': { ima_sig: 'vendor' } };
const program = (name: string, more: object = {}): object => ({
  content: { program: name, ...more },
  mode: '0755',
  xattrs: SIGNED,
});

const SMALL = {
  '/app': program('app'),
  '/sh': program('sh'),
  '/lib.so': program('lib'),
};

const SERVER = {
  '/app': program('app', { interpreter: '/mnt/ld.so' }),
  '/ld.so': program('ld'),
  '/lib.so': program('lib'),
  '/sh': program('sh'),
  '/job.sh': { content: '#!/mnt/sh\njob\n', mode: '0755', xattrs: SIGNED },
  '/driver.ko': { content: { modsig: 'vendor', of: { module: 'driver' } }, xattrs: SIGNED },
  '/kernel': { content: { kernel_image: 'next' }, xattrs: SIGNED },
  '/etc': { directory: true },
  '/etc/app.conf': { content: 'colour=blue\n', xattrs: SIGNED },
};

const MOUNT: StepForm = { op: 'mount', src: '/dev/vdc', target: '/mnt', type: 'ext4' };
const IMA_KEY: StepForm = {
  op: 'add_key',
  type: 'asymmetric',
  desc: '',
  data: { cert: 'vendor' },
  ring: '%.ima',
};

const VERITY: readonly StepForm[] = [
  { op: 'mkdir', path: '/vendor' },
  {
    op: 'dm_create',
    name: 'vendor',
    sectors: 2048,
    ttype: 'verity',
    table: [
      '1 /dev/vdd /dev/vde 4096 4096 256 1 sha256 ',
      { root_hash: 'vdd' },
      ' aabbccdd 2 root_hash_sig_key_desc vendor',
    ],
    sig: { cms: 'vendor', of: { root_hash: 'vdd' }, detached: true },
    sigdesc: 'vendor',
  },
  { op: 'mount', src: '/dev/mapper/vendor', target: '/vendor', type: 'ext4', flags: 'ro' },
];

function loading(policies: readonly PolicyText[]): readonly StepForm[] {
  return policies.flatMap(({ kind, text }): readonly StepForm[] => {
    if (kind === 'ima') return [{ op: 'policy_row', data: text.endsWith('\n') ? text : `${text}\n` }];
    const name = /policy_name=(\S+)/.exec(text)?.[1] ?? 'policy';
    return [
      { op: 'syswrite', path: '/sys/kernel/security/ipe/new_policy', data: { cms: 'vendor', of: text } },
      { op: 'syswrite', path: `/sys/kernel/security/ipe/policies/${name}/active`, data: '1' },
    ];
  });
}

const works = (path: string): object => ({
  name: `run${path.replaceAll(/[^a-z]+/g, '-')}`.replace(/-+$/, ''),
  steps: [{ op: 'exec', path }],
});

const DISKS: Readonly<Record<MachineName, readonly object[]>> = {
  minimal: [{ name: 'vdc', files: SMALL }],
  server: [{ name: 'vdc', files: SERVER }],
  appliance: [
    { name: 'vdc', files: { '/data.txt': { content: 'data\n' } } },
    {
      name: 'vdd',
      verity: { hash_disk: 'vde', salt: 'aabbccdd' },
      files: {
        '/app': program('app'),
        '/lib.so': program('lib'),
        '/sh': program('sh'),
        '/driver.ko': { content: { module: 'driver' } },
      },
    },
  ],
};

const WORK: Readonly<Record<MachineName, readonly object[]>> = {
  minimal: [works('/mnt/app')],
  server: [
    works('/mnt/app'),
    works('/mnt/job.sh'),
    {
      name: 'load-driver',
      steps: [
        { op: 'finit_module', path: '/mnt/driver.ko' },
        { op: 'delete_module', name: 'driver' },
      ],
    },
  ],
  appliance: [works('/vendor/app')],
};

/** The scenario of a ready machine with policies, as text. */
export function machineText(machine: MachineName, policies: readonly PolicyText[]): string {
  const steps = [MOUNT, ...(machine === 'appliance' ? VERITY : [IMA_KEY]), ...loading(policies)];
  return stringify(
    {
      title: `${machine} with ${policies.length === 0 ? 'no policy' : policies.map((p) => p.name).join(' and ')}`,
      kind: 'regression',
      keys: { authority: {}, vendor: { issuer: 'authority' } },
      machine: {
        cmdline: 'ima_appraise=enforce',
        trusted_keys: { builtin: [{ cert: 'authority' }, { cert: 'vendor' }] },
        disks: DISKS[machine],
      },
      steps,
      check: { workload: WORK[machine] },
    },
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
}

/** What a policy text is: IPE policies name themselves first. */
export function policyKind(text: string): PolicyText['kind'] {
  return /^(?:\s*#[^\n]*\n|\s*\n)*\s*policy_name=/.test(text) ? 'ipe' : 'ima';
}
