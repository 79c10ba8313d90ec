// docs/gaps.md: the matrix of `kisim gaps` for a few policies. The tables come from runs; a test compares the page.

import { findGaps } from '../../src/check/gaps/gaps.ts';
import { gapsMarkdown } from '../../src/check/gaps/text.ts';
import '../../src/crypto/auto.ts';
import { Machine } from '../../src/kernel/machine.ts';
import '../../src/scenario/registry.ts';

const CLOSED_IMA = [
  'measure func=MODULE_CHECK',
  'appraise func=MODULE_CHECK appraise_type=imasig|modsig',
  'measure func=FIRMWARE_CHECK',
  'appraise func=FIRMWARE_CHECK appraise_type=imasig',
  'measure func=KEXEC_KERNEL_CHECK',
  'appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig|modsig',
  'measure func=KEXEC_INITRAMFS_CHECK',
  'appraise func=KEXEC_INITRAMFS_CHECK appraise_type=imasig',
  'measure func=POLICY_CHECK',
  'appraise func=POLICY_CHECK appraise_type=imasig',
  'measure func=KEXEC_CMDLINE',
  'measure func=KEY_CHECK',
  'measure func=CRITICAL_DATA',
];

const IPE = [
  'policy_name=appliance policy_version=0.0.1',
  'DEFAULT action=DENY',
  'op=EXECUTE boot_verified=TRUE action=ALLOW',
  'op=KMODULE boot_verified=TRUE action=ALLOW',
];

const fenced = (lines: readonly string[]): string => ['```text', ...lines, '```'].join('\n');

function section(
  title: string,
  about: string,
  options: { ima?: string; ipe?: string; cmdline?: string },
): string {
  const found = findGaps({ ...options, boot: (config) => Machine.boot(config) });
  if (!found.ok) throw new Error(found.diagnostics[0]?.message ?? 'the policies cannot be loaded');
  return `## ${title}\n\n${about}\n\n${gapsMarkdown(found.rows)}`;
}

export function gapsPage(): string {
  const lines = (text: readonly string[]): string => text.map((l) => `${l}\n`).join('');
  return `# The gaps: what reaches the kernel without a look

At the Linux Security Summit of 2014 Mimi Zohar listed six gaps: kernel modules, firmware, the kernel for kexec, the initramfs,
eBPF and seccomp, and the policies. In August and September 2015 Luis Rodriguez, David Woodhouse and she went through them while
signed firmware was discussed ("Linux Firmware Signing"): a way that hands the kernel a file descriptor can be measured and appraised
by the file's label, one that hands it a buffer cannot, and the old interfaces that take buffers cannot be taken away. Some gaps were
closed since (finit_module, kexec_file_load, firmware, appended signatures, critical data), some never.

\`kisim gaps\` goes each way on a machine with the policies that it is given, once with a sample that nobody vouched for and once with a
signed one:

\`\`\`sh
kisim gaps --cmdline ima_policy=secure_boot
\`\`\`

*measured*: the list has a record of it. *appraised*: IMA refuses the sample without a signature. *enforced*: IPE, or a check of the
kernel that no policy changes, refuses it. *nothing*: it goes in. A dash: there is no such interface. \`--format json\` and
\`--format markdown\` give the same for programs and pages, \`--out DIR\` writes the scenario of every cell, so that \`kisim run\` and
\`kisim explain\` tell the rest. The stories:

\`\`\`sh
kisim run scenarios/threads/six-gaps.yaml
kisim run scenarios/threads/fd-vs-buffer-loading.yaml
kisim run scenarios/threads/firmware-fallback-has-no-file.yaml
kisim run scenarios/threads/initramfs-built-on-target.yaml
kisim run scenarios/threads/cpio-initramfs-xattrs.yaml
\`\`\`

The files of an initramfs have no labels, because the format newc has no place for them. Three forms with attributes were posted and never
merged; a machine reads them when it has the design (\`proposals: [cpio_magic_bump]\`, \`cpio_newcx\`, \`cpio_metadata\`) and is given an
\`initramfs_image\`.

SELinux, eBPF, seccomp and iptables are modelled as far as this question goes: rights, the outer form, and which hooks are asked.

${section('No policy at all', 'What the kernel refuses by itself.', {})}

${section('ima_policy=secure_boot', "The kernel's own rules. Distributions build the initramfs on the target, so no rule asks for its signature; the call that takes\na buffer is refused as a whole.", { cmdline: 'ima_policy=secure_boot' })}

${section('As closed as IMA gets', `${fenced(CLOSED_IMA)}\n\nWhat is left is what no hook covers.`, { ima: lines(CLOSED_IMA) })}

${section('An IPE policy that allows what the initramfs brought', `${fenced(IPE)}\n\nA buffer has no properties, so only the operation as a whole can be allowed or denied.`, { ipe: lines(IPE) })}
`;
}
