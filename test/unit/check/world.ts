// A small machine to check things on, and short ways to act on it.

import '../../../src/crypto/auto.ts';
import type { StepForm } from '../../../src/check/action.ts';
import { powersNamed, propertiesNamed } from '../../../src/check/names.ts';
import { pathTo, steps, type Transition } from '../../../src/check/node.ts';
import { kindsOf } from '../../../src/check/powers/table.ts';
import { newTally, type Search } from '../../../src/check/search.ts';
import { loadSubject, type Subject } from '../../../src/check/subject.ts';

const SIGNED = 'xattrs: { security.ima: { ima_sig: vendor } }';

export function machineWith(policy: string, check = '', more = ''): string {
  const rules =
    policy === ''
      ? ''
      : `  - op: policy_row\n    data: |\n${policy
          .split('\n')
          .map((l) => `      ${l}\n`)
          .join('')}`;
  return `title: a small machine
kind: regression
keys: { authority: {}, vendor: { issuer: authority } }
machine:
  cmdline: ima_appraise=enforce
  trusted_keys: { builtin: [{ cert: authority }] }
  disks:
    - name: vdc
      files:
        /app: { content: { program: app, interpreter: /mnt/ld.so }, mode: "0755", ${SIGNED} }
        /ld.so: { content: { program: ld }, mode: "0755", ${SIGNED} }
        /sh: { content: { program: sh }, mode: "0755", ${SIGNED} }
        /job.sh: { content: "#!/mnt/sh\\njob\\n", mode: "0755", ${SIGNED} }
        /driver.ko: { content: { module: driver }, ${SIGNED} }
        /kernel: { content: { kernel_image: next }, ${SIGNED} }
        /stranger: { content: { program: stranger }, mode: "0755" }
${more}steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: add_key, type: asymmetric, desc: "", data: { cert: vendor }, ring: "%.ima" }
${rules}${check === '' ? '' : `check:\n${check}`}`;
}

export function subjectOfText(text: string): Subject {
  const loaded = loadSubject('test.yaml', text);
  if (!loaded.ok) throw new Error(loaded.diagnostics.map((d) => `${d.line}: ${d.message}`).join('\n'));
  return loaded.subject;
}

/** Carries out steps after the machine's own ones. */
export function act(subject: Subject, ...forms: readonly StepForm[]): readonly Transition[] {
  return [...steps(subject.start, forms, subject.reader)];
}

export function lastOf(subject: Subject, ...forms: readonly StepForm[]): Transition {
  const t = act(subject, ...forms).at(-1);
  if (t === undefined) throw new Error('no step');
  return t;
}

export function searchOf(subject: Subject, property: string, attacker: string): Search {
  return {
    subject,
    properties: propertiesNamed([property]),
    kinds: kindsOf(powersNamed(attacker)),
    tally: newTally(),
  };
}

export { pathTo };
