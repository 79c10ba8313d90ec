// Speed of IMA: the walk over a long policy, a long measurement list, programs whose signature is appraised. The peers are
// the same work on the smallest policy, the bare hashes and copies, and OpenSSL's verification.

import { createHash, generateKeyPairSync, sign, verify } from 'node:crypto';
import { assert } from '../src/base/assert.ts';
import { latin1, utf8 } from '../src/base/bytes.ts';
import { FILE_CHECK, IMA_APPRAISE, IMA_AUDIT, IMA_HASH, IMA_MEASURE } from '../src/ima/constants.ts';
import { type MatchSubject, matchPolicy } from '../src/ima/policy-match.ts';
import { Machine } from '../src/kernel/machine.ts';
import { loadScenario } from '../src/scenario/loader.ts';
import { runScenario } from '../src/scenario/runner.ts';
import { MAY_READ, O_WRONLY } from '../src/vfs/constants.ts';
import { report } from './harness.ts';
import { bootWithFiles, readOnce } from './machines.ts';

const POLICY = '/sys/kernel/security/ima/policy';
const LAST = 'measure func=FILE_CHECK mask=MAY_READ fsname=ext4';

/** Rules that are looked at and do not match, of the kinds that policies are made of; then one that does. */
function rules(count: number): readonly string[] {
  const kinds = [
    (i: number) => `dont_measure fsmagic=0x${(0x1000 + i).toString(16)}`,
    (i: number) => `measure func=FILE_CHECK mask=^MAY_READ uid=${5000 + i}`,
    (i: number) => `appraise func=FILE_CHECK fowner=${5000 + i}`,
    (i: number) => `audit func=FILE_CHECK euid>${4294960000 + i}`,
  ];
  const others = Array.from({ length: count - 1 }, (_, i) => kinds[i % kinds.length]?.(i) ?? '');
  return [...others, LAST];
}

function withPolicy(lines: readonly string[], files = 10): Machine {
  const machine = bootWithFiles(files, '');
  const sys = machine.sys(1);
  sys.mkdir('/sys', 0o755);
  sys.mount('sysfs', '/sys', 'sysfs', [], '');
  sys.mount('securityfs', '/sys/kernel/security', 'securityfs', [], '');
  const fd = sys.open(POLICY, O_WRONLY);
  assert(fd.ok, 'the policy node opens');
  for (const line of lines) assert(sys.write(fd.value, latin1(`${line}\n`)).ok, line);
  sys.close(fd.value);
  return machine;
}

/** An access to a file of the disk, as FILE_CHECK sees it. */
function subjectOf(machine: Machine): MatchSubject {
  const task = machine.kernel.task(1);
  assert(task !== undefined, 'init runs');
  const at = machine.vfs.lookup(task, '/mnt/f1');
  assert(at.ok, 'the file is there');
  const inode = machine.vfs.inodeOf(at.value);
  const sb = machine.vfs.superblock(inode.sb);
  return { task, cred: task.cred, inode, sb, func: FILE_CHECK, mask: MAY_READ, funcData: null };
}

const ALL = IMA_MEASURE | IMA_APPRAISE | IMA_AUDIT | IMA_HASH;

function matchEngine(): void {
  const walks = [200, 1].map((count) => {
    const machine = withPolicy(rules(count));
    const subject = subjectOf(machine);
    assert(matchPolicy(machine.ima, subject, ALL).matched.length === 1, 'the last rule decides');
    return {
      name:
        count === 1
          ? 'a walk over one rule'
          : `a walk over ${count} rules (a rule is ${count} times as fast)`,
      run: (n: number): void => {
        for (let i = 0; i < n; i++) matchPolicy(machine.ima, subject, ALL);
      },
    };
  });
  report('IMA match engine', null, walks);
  const opens = [200, 1].map((count) => {
    const machine = withPolicy(rules(count));
    readOnce(machine, '/mnt/f1');
    return {
      name: `open, read, close under ${count} rules`,
      run: (n: number): void => {
        for (let work = machine, i = 0; i < n; i++) {
          if (i % 1000 === 0) work = machine.fork();
          readOnce(work, '/mnt/f1');
        }
      },
    };
  });
  report('what a long policy adds to a cached open', null, opens);
}

const ENTRIES = 10_000;

function longList(): void {
  const machine = withPolicy([LAST], ENTRIES);
  const full = machine.fork();
  for (let i = 0; i < ENTRIES; i++) readOnce(full, `/mnt/f${i}`);
  assert(full.ima.state.list.length === ENTRIES + 1, 'all files are in the list');
  let work = machine.fork();
  let next = 0;
  report(`a measurement list growing to ${ENTRIES} entries (banks sha1, sha256)`, null, [
    {
      name: 'first open of one more file: hashed, appended, extended',
      run: (n) => {
        for (let i = 0; i < n; i++, next++) {
          if (next % ENTRIES === 0) work = machine.fork();
          readOnce(work, `/mnt/f${next % ENTRIES}`);
        }
      },
    },
    {
      name: 'its five hashes alone, node:crypto',
      run: (n) => {
        const block = Buffer.alloc(100, 1);
        for (let i = 0; i < n; i++)
          for (const alg of ['sha256', 'sha1', 'sha256', 'sha1', 'sha256'])
            createHash(alg).update(block).digest();
      },
    },
  ]);
  const parts = Array.from({ length: ENTRIES }, () => Buffer.alloc(110, 1));
  report(`reading the whole list of ${ENTRIES} entries`, null, [
    {
      name: 'binary, entries shown before',
      run: (n) => {
        for (let i = 0; i < n; i++) full.imaList('binary', 'sha256');
      },
    },
    {
      name: 'ASCII, entries shown before',
      run: (n) => {
        for (let i = 0; i < n; i++) full.imaList('ascii', 'sha256');
      },
    },
    {
      name: `Buffer.concat of ${ENTRIES} buffers`,
      run: (n) => {
        for (let i = 0; i < n; i++) Buffer.concat(parts);
      },
    },
  ]);
}

const SIGNED = `title: a signed program
kind: regression
keys: { ca: {}, k: { issuer: ca } }
machine:
  cmdline: ima_appraise=enforce
  trusted_keys: { builtin: [{ cert: ca }] }
  disks:
    - name: vdc
      files:
        /p: { content: { program: p }, mode: "0755", xattrs: { security.ima: { ima_sig: k } } }
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
  - { op: add_key, type: asymmetric, ring: "%.ima", data: { cert: k } }
  - { op: policy_row, data: "appraise func=BPRM_CHECK fsname=ext4 appraise_type=imasig\\n" }
  - { op: exec, path: /mnt/p }
`;

function signedExec(): void {
  const loaded = loadScenario('bench.yaml', SIGNED);
  assert(loaded.ok, 'the scenario loads');
  const { machine, report: outcome } = runScenario(loaded.scenario, (config) => Machine.boot(config));
  assert(outcome.outcome === 'passed', 'the signature is good');
  const sys = machine.sys(1);
  const label = sys.getxattr('/mnt/p', 'security.ima');
  assert(label.ok, 'the program has a label');
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const data = utf8('digest');
  const signature = sign('sha256', data, privateKey);
  let work = machine.fork();
  const exec = (m: Machine): void => {
    const ran = m.sys(1).exec('/mnt/p', []);
    assert(ran.ok, 'the program runs');
  };
  report('exec of a program whose signature is appraised', null, [
    {
      name: 'verdict cached with the inode',
      run: (n) => {
        for (let i = 0; i < n; i++) {
          if (i % 1000 === 0) work = machine.fork();
          exec(work);
        }
      },
    },
    {
      name: 'a label that was not seen before',
      run: (n) => {
        for (let i = 0; i < n; i++) {
          if (i % 100 === 0) work = machine.fork();
          const err = work.sys(1).setxattr('/mnt/p', 'security.ima', label.value.slice());
          assert(err === 0, `setxattr: ${err}`);
          exec(work);
        }
      },
    },
    {
      name: 'the P-256 verification alone, node:crypto',
      run: (n) => {
        for (let i = 0; i < n; i++) verify('sha256', data, publicKey, signature);
      },
    },
  ]);
}

export const IMA_GROUPS = { matchEngine, longList, signedExec };
