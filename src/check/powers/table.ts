// All powers by name; on the command line several are joined by `+`.

import type { ActionKind, Power } from '../action.ts';
import { CMDLINE_KINDS, DISK_EDITOR_KINDS, kexecKinds, REBOOT_KINDS, TPM_KINDS } from './boot.ts';
import { codeKinds, kernelKinds, memoryKinds } from './code.ts';
import { ROOT, USER } from './draw.ts';
import { fileKinds } from './files.ts';
import { fileRollbackKinds, ipeRollbackKinds, macAdminKinds, policyKinds } from './policy.ts';
import { BLOCK_KINDS, MOUNT_KINDS, RACE_KINDS } from './race.ts';
import { SERVICE_KINDS, WORKLOAD_KINDS } from './service.ts';

const ROOT_KINDS = [...fileKinds(ROOT), ...codeKinds(ROOT), ...kernelKinds(ROOT), ...policyKinds(ROOT)];

export const POWERS: readonly Power[] = [
  {
    name: 'unprivileged-user',
    sentence: 'A user without privileges who has a shell.',
    kinds: [...fileKinds(USER), ...codeKinds(USER)],
  },
  {
    name: 'root-without-keys',
    sentence: 'Root on the running machine, without the keys that sign.',
    kinds: ROOT_KINDS,
  },
  {
    name: 'mac-admin',
    sentence: 'Whoever has CAP_MAC_ADMIN: IPE takes policies and orders from them.',
    kinds: macAdminKinds(ROOT),
  },
  {
    name: 'code-in-memory',
    sentence: 'A process that writes code into memory of its own.',
    kinds: [...memoryKinds(USER)],
  },
  {
    name: 'disk-editor',
    sentence: 'Somebody who edits the disks in another computer while the machine is off.',
    kinds: [...DISK_EDITOR_KINDS, ...SERVICE_KINDS],
  },
  {
    name: 'block-writer',
    sentence: 'Whoever the blocks of the disk come from: they change below the mounted file system.',
    kinds: [...BLOCK_KINDS, ...SERVICE_KINDS],
  },
  {
    name: 'rollback',
    sentence: 'The owner of old files and policies that were signed well.',
    kinds: [...fileRollbackKinds(ROOT), ...ipeRollbackKinds(ROOT), ...SERVICE_KINDS],
  },
  {
    name: 'racer',
    sentence:
      'A second process of root that races the first: it holds descriptors and mappings, and acts between the phases of an execve.',
    kinds: [...RACE_KINDS, ...SERVICE_KINDS],
  },
  {
    name: 'boot-loader',
    sentence: 'Somebody who boots the same machine with another command line.',
    kinds: [...CMDLINE_KINDS, ...SERVICE_KINDS],
  },
  {
    name: 'mounter',
    sentence: 'Root who controls mounts: in memory, overlays, FUSE, bind mounts.',
    kinds: [...MOUNT_KINDS, ...SERVICE_KINDS],
  },
  {
    name: 'kexec-user',
    sentence: 'Root who may load another kernel and jump into it.',
    kinds: [...kexecKinds(ROOT), ...SERVICE_KINDS],
  },
  {
    name: 'tpm-resetter',
    sentence: 'Somebody who reaches the TPM: through its device, or its reset line.',
    kinds: [...TPM_KINDS, ...SERVICE_KINDS],
  },
  {
    name: 'reboot',
    sentence: 'Whoever can start the machine anew.',
    kinds: REBOOT_KINDS,
  },
  {
    name: 'workload',
    sentence: 'Nobody attacks: the machine does the tasks of its workload, in any order.',
    kinds: [...WORKLOAD_KINDS, ...REBOOT_KINDS],
  },
];

/** The kinds of several powers, each once. */
export function kindsOf(powers: readonly Power[]): readonly ActionKind[] {
  return [...new Set(powers.flatMap((p) => p.kinds))];
}
