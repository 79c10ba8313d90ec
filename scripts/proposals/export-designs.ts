// Runs the designs for exporting the measurement list through the same questions and writes the answers as a table:
// docs/export-designs.md. Nothing in the table is written by hand; the questions are functions over machines.

import { concat, equalBytes, toHex, utf8 } from '../../src/base/bytes.ts';
import { Reader } from '../../src/base/codec.ts';
import { crypto } from '../../src/crypto/provider.ts';
import { bzImage } from '../../src/kernel/images.ts';
import { Machine } from '../../src/kernel/machine.ts';
import '../../src/proposals/registry.ts';
import type { TaskSyscalls } from '../../src/kernel/syscalls.ts';
import { O_RDONLY, O_WRONLY, S_IFREG } from '../../src/vfs/constants.ts';

const IMA = '/sys/kernel/security/ima';
const LIST = `${IMA}/binary_runtime_measurements_sha1`;

/** What a program of one design does to save records and to have them freed. */
interface Agent {
  /** Design of the machine; null = the kernel as it is. */
  readonly proposal: string | null;
  readonly title: string;
  /** Looks at the list and keeps what it saw; what it kept is what a verifier will get. */
  save(sys: TaskSyscalls): Uint8Array;
  /** Has the kernel free what save() saw. */
  free(sys: TaskSyscalls, saved: Uint8Array): void;
}

const LOG = '/mnt/log.1';

function slurp(sys: TaskSyscalls, path: string): Uint8Array {
  const fd = sys.open(path, O_RDONLY);
  if (!fd.ok) return new Uint8Array(0);
  const parts: Uint8Array[] = [];
  for (;;) {
    const piece = sys.read(fd.value, 65536);
    if (!piece.ok || piece.value.length === 0) break;
    parts.push(piece.value);
  }
  sys.close(fd.value);
  return concat(...parts);
}

function tell(sys: TaskSyscalls, path: string, text: string): void {
  const fd = sys.open(path, O_WRONLY);
  if (!fd.ok) return;
  sys.write(fd.value, utf8(text));
  sys.close(fd.value);
}

/** Records of a binary list in the sha1 form, whole and their template digests. */
function recordsOf(list: Uint8Array): Records {
  const out: { bytes: string; digest: Uint8Array }[] = [];
  const r = new Reader(list, 'le');
  let from = 0;
  while (r.remaining > 0) {
    r.u32();
    const digest = r.take(20).slice();
    r.take(r.u32());
    r.take(r.u32());
    if (r.failed) break;
    const end = list.length - r.remaining;
    out.push({ bytes: toHex(list.subarray(from, end)), digest });
    from = end;
  }
  return out;
}

const staged = `${LIST}_staged`;

const AGENTS: readonly Agent[] = [
  {
    proposal: null,
    title: 'no export (Linux 6.12)',
    save: (sys) => slurp(sys, LIST),
    free: () => undefined,
  },
  {
    proposal: 'list_export',
    title: 'kernel writes a file (2020)',
    save: () => new Uint8Array(0),
    free: (sys) => tell(sys, `${IMA}/export_list`, LOG),
  },
  {
    proposal: 'list_trim',
    title: 'delete N (2020, 2025)',
    save: (sys) => slurp(sys, LIST),
    free: (sys, saved) => tell(sys, `${IMA}/trim_list`, String(recordsOf(saved).length)),
  },
  {
    proposal: 'list_tmpfile',
    title: 'anonymous file (2020)',
    save: (sys) => slurp(sys, LIST),
    free: () => undefined,
  },
  {
    proposal: 'list_staging',
    title: 'staging (2026)',
    save: (sys) => {
      tell(sys, staged, 'A');
      return slurp(sys, staged);
    },
    free: (sys) => tell(sys, staged, 'D'),
  },
];

const FILES = ['a', 'b', 'c', 'd', 'e'];

function boot({ proposal }: Agent): Machine {
  const content = (text: string) => ({ content: { kind: 'bytes' as const, bytes: utf8(text) } });
  const m = Machine.boot({
    cmdline: 'ima_policy=tcb',
    ...(proposal === null ? {} : { proposals: [proposal] }),
    disks: [
      {
        name: 'vdc',
        type: 'ext4',
        files: {
          ...Object.fromEntries(FILES.map((f) => [`/${f}`, content(`${f}\n`)])),
          '/initrd': content('initrd'),
          '/kernel': { mode: S_IFREG | 0o600, content: { kind: 'bytes', bytes: bzImage() } },
        },
      },
    ],
  });
  mountAll(m);
  return m;
}

function mountAll(m: Machine): void {
  const sys = m.sys(1);
  sys.mount('devtmpfs', '/dev', 'devtmpfs', [], '');
  sys.mount('sysfs', '/sys', 'sysfs', [], '');
  sys.mount('securityfs', '/sys/kernel/security', 'securityfs', [], '');
  sys.mount('/dev/vdc', '/mnt', 'ext4', [], '');
}

function measure(m: Machine, ...files: readonly string[]): void {
  for (const f of files) slurp(m.sys(1), `/mnt/${f}`);
}

type Records = readonly { readonly bytes: string; readonly digest: Uint8Array }[];

/** Pieces one behind the other; what a piece repeats of the end of those before it counts once. */
function joined(pieces: readonly Records[]): Records {
  let all: Records = [];
  for (const piece of pieces) {
    let overlap = Math.min(all.length, piece.length);
    const repeats = (n: number): boolean =>
      piece.slice(0, n).every((r, i) => r.bytes === all[all.length - n + i]?.bytes);
    while (overlap > 0 && !repeats(overlap)) overlap--;
    all = [...all, ...piece.slice(overlap)];
  }
  return all;
}

/** Every record that a verifier can be given: what was saved, the kernel's log, then the list. */
function obtainable(m: Machine, saved: readonly Uint8Array[]): Records {
  const sys = m.sys(1);
  return joined([...saved, slurp(sys, LOG), slurp(sys, staged), slurp(sys, LIST)].map(recordsOf));
}

function replaysTo(m: Machine, records: Records): boolean {
  let folded: Uint8Array = new Uint8Array(20);
  for (const { digest } of records) folded = crypto().hash('sha1', concat(folded, digest));
  return equalBytes(folded, m.pcr('sha1', 10) ?? new Uint8Array(0));
}

const memoryOf = (m: Machine): number => m.ima.state.binaryRuntimeSize;

/** One agent saves, a file is measured, the agent has its records freed. */
function oneAgent(agent: Agent): { readonly m: Machine; readonly saved: Uint8Array } {
  const m = boot(agent);
  measure(m, 'a', 'b');
  const saved = agent.save(m.sys(1));
  measure(m, 'c');
  agent.free(m.sys(1), saved);
  return { m, saved };
}

function answer(yes: boolean): string {
  return yes ? 'yes' : 'no';
}

/** Two agents save the same records, two are measured, both have theirs freed. */
function survivesTwoAgents(agent: Agent): boolean {
  const m = boot(agent);
  const [one, two] = [m.sys(m.spawn({ comm: 'one' })), m.sys(m.spawn({ comm: 'two' }))];
  measure(m, 'a', 'b');
  const saved = [agent.save(one), agent.save(two)];
  measure(m, 'c', 'd', 'e');
  agent.free(one, saved[0] as Uint8Array);
  agent.free(two, saved[1] as Uint8Array);
  return replaysTo(m, obtainable(m, saved));
}

function wholeInSecurityfs(agent: Agent): boolean {
  const { m } = oneAgent(agent);
  return replaysTo(m, recordsOf(slurp(m.sys(1), LIST)));
}

function freesMemory(agent: Agent): boolean {
  const m = boot(agent);
  measure(m, 'a', 'b', 'c');
  const saved = agent.save(m.sys(1));
  agent.free(m.sys(1), saved);
  return memoryOf(m) < memoryOf(oneAgent(AGENTS[0] as Agent).m) / 2;
}

/** After a kexec, what was saved and the second kernel's list together still replay. */
function survivesKexec(agent: Agent): boolean {
  const { m, saved } = oneAgent(agent);
  const [kernel, initrd] = [m.sys(1).open('/mnt/kernel', O_RDONLY), m.sys(1).open('/mnt/initrd', O_RDONLY)];
  if (!kernel.ok || !initrd.ok) return false;
  const err = m.sys(1).kexecFileLoad(kernel.value, initrd.value, 'ima_policy=tcb', 0);
  if (err !== 0 || m.kexecReboot() !== 0) return false;
  mountAll(m);
  return replaysTo(m, obtainable(m, [saved]));
}

/** A program that has records freed without having saved them. */
function needsTrustedProgram(agent: Agent): boolean {
  const m = boot(agent);
  measure(m, 'a', 'b');
  const seen = agent.save(m.sys(1));
  agent.free(m.sys(1), seen);
  return !replaysTo(m, obtainable(m, []));
}

const QUESTIONS: readonly (readonly [string, (agent: Agent) => boolean])[] = [
  ['securityfs alone verifies the quote', wholeInSecurityfs],
  [
    'saved part and list verify the quote',
    (a) => {
      const { m, saved } = oneAgent(a);
      return replaysTo(m, obtainable(m, [saved]));
    },
  ],
  ['two agents lose nothing', survivesTwoAgents],
  ['kernel memory is freed', freesMemory],
  ['verifies after kexec', survivesKexec],
  ['a program must be trusted to save', needsTrustedProgram],
];

/** The page, from runs. */
export function exportDesignsPage(): string {
  const head = `| design | ${QUESTIONS.map(([q]) => q).join(' | ')} |`;
  const rule = `| --- |${' --- |'.repeat(QUESTIONS.length)}`;
  const rows = AGENTS.map(
    (agent) => `| ${agent.title} | ${QUESTIONS.map(([, ask]) => answer(ask(agent))).join(' | ')} |`,
  );
  return `# Exporting the measurement list: designs side by side

The list of IMA only grows. In 2020 Janne Karhunen posted a patch by which the kernel writes it to a file; Mimi Zohar and David
Safford argued about what a verifier then needs, Amir Goldstein proposed an anonymous file, and deletion of the first N records
was named. Roberto Sassu's staging was merged in 2026. Each design is run here on its own machine and asked the same questions.

${[head, rule, ...rows].join('\n')}

"Verifies" means that the records, replayed in order, give the value of PCR 10. The table is written by \`npm run proposals\` from
runs; the stories are scenarios:

\`\`\`sh
kisim run scenarios/threads/list-export-atomic.yaml scenarios/threads/list-export-automatic.yaml
kisim run scenarios/threads/list-delete-n.yaml scenarios/threads/list-tmpfile-backing.yaml
kisim run scenarios/threads/list-staging-interface.yaml
\`\`\`
`;
}
