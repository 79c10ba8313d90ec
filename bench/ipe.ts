// Speed of IPE: one decision over a policy of 500 rules, of which none holds for the program, so that the default
// decides; with its event in the trace, which names for each rule the property that it missed. The peers are the same
// decision under one rule, and a bare comparison of as many digests.

import { assert } from '../src/base/assert.ts';
import { latin1, toHex } from '../src/base/bytes.ts';
import { ipeParsePolicy } from '../src/ipe/index.ts';
import { Machine } from '../src/kernel/machine.ts';
import { O_RDONLY } from '../src/vfs/constants.ts';
import { report } from './harness.ts';

const RULES = 500;

function digest(i: number): Uint8Array {
  return new Uint8Array(32).map((_, at) => (i >> (8 * (at & 1))) + at);
}

/** Rules of every property, none of which holds for a file of the initramfs. */
function rule(i: number): string {
  const hex = toHex(digest(i));
  const kinds = [
    `fsverity_digest=sha256:${hex}`,
    `dmverity_roothash=sha256:${hex}`,
    'boot_verified=FALSE fsverity_signature=FALSE',
    `fsverity_signature=TRUE fsverity_digest=sha256:${hex}`,
    'dmverity_signature=TRUE',
  ];
  return `op=EXECUTE ${kinds[i % kinds.length]} action=DENY`;
}

function decisions(count: number): { readonly name: string; run(n: number): void } {
  const rules = Array.from({ length: count }, (_, i) => rule(i));
  const text = ['policy_name=p policy_version=1.0.0', 'DEFAULT action=ALLOW', ...rules, ''].join('\n');
  const parsed = ipeParsePolicy(text);
  assert(parsed.ok && parsed.policy.ops.EXECUTE.rules.length === count, 'the policy is good');
  const machine = Machine.boot({
    ipeBootPolicy: text,
    initramfs: { '/prog': { content: { kind: 'bytes', bytes: latin1('program') }, mode: 0o755 } },
  });
  const fd = machine.sys(1).open('/prog', O_RDONLY);
  assert(fd.ok, 'the program opens');
  const task = machine.kernel.task(1);
  const file = task?.fds.get(fd.value)?.file;
  assert(task !== undefined && file !== undefined, 'the program is open');
  const { state } = machine.trace;
  machine.ipe.bprmCheck(task, file);
  const last = machine.trace.state.events.length - 1;
  assert(last === state.events.length, 'the decision is one event');
  return {
    name: count === 1 ? 'under one rule' : `a decision under ${count} rules`,
    run: (n) => {
      // The trace goes back every hundred, so that it stays as short as that of a scenario.
      for (let i = 0; i < n; i++) {
        if (i % 100 === 0) machine.trace.state = state;
        machine.ipe.bprmCheck(task, file);
      }
    },
  };
}

function ipeDecisions(): void {
  const digests = Array.from({ length: RULES }, (_, i) => digest(i));
  const own = Buffer.alloc(32, 0xee);
  report(`IPE evaluation of a policy of ${RULES} rules`, 200_000, [
    decisions(RULES),
    decisions(1),
    {
      name: `Buffer.equals of ${RULES} digests, and their array`,
      run: (n) => {
        for (let i = 0; i < n; i++) digests.filter((d) => own.equals(d));
      },
    },
  ]);
}

export const IPE_GROUPS = { ipeDecisions };
