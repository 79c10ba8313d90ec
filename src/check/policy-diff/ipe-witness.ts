// Two scenarios for a difference of IPE policies: a file that has the properties of the event (it came with
// the initramfs, lies on a signed volume, or has a signed fs-verity digest), and the step that uses it.

import type { IpeDifference, IpeEvent } from './ipe-diff.ts';
import { type PairDocument, provenPair, type ScenarioPair } from './pair.ts';

const KEYS = { vendor: {} };
const NODE = '/sys/kernel/security';
const FIRMWARE = '/sys/devices/virtual/misc/test_firmware/trigger_request';
/** A policy for IMA that asks for nothing in this scenario. */
const IDLE_POLICY = 'audit func=FILE_CHECK uid=4242\n';

interface Way {
  readonly content: unknown;
  readonly step: (path: string) => object;
}

/** What is used and how, for each operation that a step comes to. */
const WAYS: { readonly [op: string]: Way } = {
  EXECUTE: { content: { program: 'file' }, step: (path) => ({ op: 'exec', path }) },
  KMODULE: { content: { module: 'file' }, step: (path) => ({ op: 'finit_module', path }) },
  KEXEC_IMAGE: { content: { kernel_image: 'file' }, step: (path) => ({ op: 'kexec_file', path }) },
  KEXEC_INITRAMFS: {
    content: 'initial ram disk\n',
    step: (path) => ({ op: 'kexec_file', path: '/tmp/kernel', initrd: path }),
  },
  POLICY: {
    content: IDLE_POLICY,
    step: (path) => ({ op: 'syswrite', path: `${NODE}/ima/policy`, data: path }),
  },
  FIRMWARE: { content: 'firmware\n', step: () => ({ op: 'syswrite', path: FIRMWARE, data: 'file' }) },
};

interface Place {
  readonly path: string;
  readonly machine: object;
  readonly steps: readonly object[];
}

const MOUNT = { op: 'mount', src: '/dev/vdc', target: '/mnt', type: 'ext4' };

/** Where a file has just these properties; null where a scenario has no such place. */
function placeOf(event: IpeEvent, content: unknown): Place | null {
  const file = { content, mode: '0755' };
  if (event.bootVerified)
    return {
      path: '/tmp/file',
      machine: {},
      steps: [{ op: 'write', path: '/tmp/file', data: content, mode: '0755' }],
    };
  if (event.dmveritySignature && event.fsveritySignature) return null;
  if (event.dmveritySignature)
    return {
      path: '/mnt/file',
      machine: {
        disks: [{ name: 'vdd', verity: { hash_disk: 'vde', salt: 'aabbccdd' }, files: { '/file': file } }],
      },
      steps: [
        {
          op: 'dm_create',
          name: 'vol',
          sectors: 2048,
          ttype: 'verity',
          table: [
            '1 /dev/vdd /dev/vde 4096 4096 256 1 sha256 ',
            { root_hash: 'vdd' },
            ' aabbccdd 2 root_hash_sig_key_desc vol',
          ],
          sig: { cms: 'vendor', of: { root_hash: 'vdd' }, detached: true },
          sigdesc: 'vol',
        },
        { op: 'mount', src: '/dev/mapper/vol', target: '/mnt', type: 'ext4', flags: 'ro' },
      ],
    };
  const disk = { machine: { disks: [{ name: 'vdc', files: { '/file': file } }] }, path: '/mnt/file' };
  if (!event.fsveritySignature) return { ...disk, steps: [MOUNT] };
  return {
    ...disk,
    steps: [
      MOUNT,
      { op: 'add_key', type: 'asymmetric', desc: '', data: { cert: 'vendor' }, ring: '%.fs-verity' },
      { op: 'verity_enable', path: '/mnt/file', alg: 1, sig: { verity_sig: 'vendor', of: content } },
    ],
  };
}

/** Loading and activating; the text is signed by a key that the kernel knows. */
function activate(text: string): readonly object[] {
  const name = /^\s*policy_name=(\S+)/m.exec(text)?.[1] ?? 'policy';
  return [
    { op: 'syswrite', path: `${NODE}/ipe/new_policy`, data: { cms: 'vendor', of: text } },
    { op: 'syswrite', path: `${NODE}/ipe/policies/${name}/active`, data: '1' },
  ];
}

function documentOf(place: Place, way: Way, text: string, allowed: boolean): PairDocument {
  const kernel = { op: 'write', path: '/tmp/kernel', data: { kernel_image: 'kernel' } };
  const cmdline = place.path.startsWith('/tmp') ? 'firmware_class.path=/tmp' : 'firmware_class.path=/mnt';
  const expect = { err: allowed ? 'OK' : 'EACCES' };
  return {
    keys: KEYS,
    machine: { cmdline, trusted_keys: { builtin: [{ cert: 'vendor' }] }, ...place.machine },
    steps: [
      ...place.steps,
      ...(way === WAYS['KEXEC_INITRAMFS'] ? [kernel] : []),
      ...activate(text),
      { ...way.step(place.path), id: 'event', expect },
    ],
  };
}

/** The two scenarios of a difference, or why there are none. */
export function ipeScenarios(d: IpeDifference, old: string, now: string): ScenarioPair | string {
  const { event } = d;
  const way = event.op === null ? undefined : WAYS[event.op];
  if (way === undefined) return 'no step of a scenario comes to this operation';
  if (event.roothash !== null || event.fsverityDigest !== null)
    return 'a scenario cannot make a file with a given digest';
  const place = placeOf(event, way.content);
  if (place === null) return 'a scenario has no fs-verity file on a dm-verity volume';
  const pair = provenPair(
    d.row,
    documentOf(place, way, old, d.old === 'ALLOW'),
    documentOf(place, way, now, d.new === 'ALLOW'),
  );
  return pair ?? 'other events of the same step hide it, or refuse it first';
}
