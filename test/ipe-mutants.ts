// Seeded mutations of good IPE policies, and the law that holds for each: the kernel rejects a text exactly
// when the linter has an error for it.

import { Random, seedRandom } from '../src/base/random.ts';
import { lintIpePolicy } from '../src/ipe/lint.ts';

const SEEDS = [
  'policy_name=p policy_version=1.0.0\nDEFAULT action=ALLOW\nop=EXECUTE boot_verified=TRUE action=DENY\n',
  'policy_name=a policy_version=0.0.1 # c\nDEFAULT op=EXECUTE action=DENY\nDEFAULT action=ALLOW\n',
  'policy_name=x policy_version=65535.0.3\r\nDEFAULT action=DENY\nop=KMODULE dmverity_signature=TRUE action=ALLOW\n',
  'policy_name=d policy_version=1.2.3\nDEFAULT action=DENY\nop=EXECUTE fsverity_digest=sha256:00ff action=ALLOW\n',
  `policy_name=e policy_version=1.2.3\n${[
    'EXECUTE',
    'FIRMWARE',
    'KMODULE',
    'KEXEC_IMAGE',
    'KEXEC_INITRAMFS',
    'POLICY',
    'X509_CERT',
  ]
    .map((op) => `DEFAULT op=${op} action=DENY\n`)
    .join('')}op=POLICY dmverity_roothash=sha256:aa fsverity_signature=FALSE action=ALLOW\n`,
];
const WORDS = [
  'DEFAULT',
  'op=EXECUTE',
  'op=POLICY',
  'op=',
  'action=ALLOW',
  'action=DENY',
  'action=',
  'boot_verified=TRUE',
  'boot_verified=true',
  'dmverity_roothash=sha256:00',
  'fsverity_digest=:0',
  'fsverity_digest=x',
  'policy_name=q',
  'policy_version=1.0.0',
  '1.0.0',
  '#',
  '\n',
  '\r',
  ' ',
  '\t',
  '\0',
  '\u00a0',
  '\v',
  'x',
  '=',
  '.',
  '/',
];

/** Texts with one character per byte. */
export function* mutatedPolicies(seed: string, count: number): Generator<string> {
  const random = new Random(seedRandom(`ipe ${seed}`));
  const below = (n: number): number => random.u32() % n;
  for (let i = 0; i < count; i++) {
    let text = SEEDS[below(SEEDS.length)] as string;
    for (let n = 1 + below(4); n > 0; n--) {
      const at = below(text.length + 1);
      const to = Math.min(text.length, at + below(12));
      const word = WORDS[below(WORDS.length)] as string;
      const kind = below(5);
      if (kind === 0) text = text.slice(0, at) + text.slice(to);
      else if (kind === 1) text = text.slice(0, at) + word + text.slice(at);
      else if (kind === 2) text = text.slice(0, at) + word + text.slice(to);
      else if (kind === 3) text = `${text.slice(0, at)} ${word} ${text.slice(at)}`;
      else text = text.slice(0, at) + text.slice(at, to) + text.slice(at);
    }
    yield text;
  }
}

export interface Found {
  readonly rejected: boolean;
  /** What does not fit together; null when all is well. */
  readonly problem: string | null;
}

export function disagreement(text: string): Found {
  const report = lintIpePolicy(Uint8Array.from(text, (c) => c.charCodeAt(0)));
  const errors = report.diagnostics.filter((d) => d.severity === 'error').length;
  const rejected = report.verdict === 'rejected';
  const agrees = rejected === errors > 0;
  return { rejected, problem: agrees ? null : `verdict ${report.verdict} beside ${errors} errors` };
}
