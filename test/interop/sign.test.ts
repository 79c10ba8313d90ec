// Signatures in both directions: what the real evmctl and openssl sign passes appraisal, EVM and IPE in the simulator, and
// what kisim signs the real tools accept; where a signature is determined the bytes are the same. evmctl keeps its labels in
// user.ima and user.evm (--xattr-user) for portable signatures; for the others it reads security.ima, which takes root.

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromHex, toHex, utf8 } from '../../src/base/bytes.ts';
import { play } from '../../src/cli/play.ts';
import type { HashName } from '../../src/crypto/provider.ts';
import { type EvmMetadata, evmHmac, evmSign } from '../../src/evm/sign.ts';
import {
  appendModsig,
  imaHash,
  imaSign,
  imaSignV1,
  keyidV1,
  type Made,
  type Signer,
  signerOf,
  signIpePolicy,
  signMessage,
  signRootHash,
} from '../../src/integrity/sign.ts';
import { loadScenario } from '../../src/scenario/loader.ts';
import { toolsMissing } from '../support.ts';

const noOpenssl = toolsMissing('interop/sign', 'openssl');
const noEvmctl = noOpenssl || toolsMissing('interop/sign: evmctl', 'evmctl', 'setfattr', 'getfattr');
const SUITE_ROOTS = [tmpdir(), '/var/tmp', process.cwd(), '/dev/shm'];

/** A folder whose file system takes attributes of the user. */
function xattrFolder(): string | null {
  for (const root of SUITE_ROOTS) {
    const dir = mkdtempSync(join(root, 'kisim-sign-'));
    writeFileSync(join(dir, 'probe'), 'probe');
    if (spawnSync('setfattr', ['-n', 'user.probe', '-v', '1', join(dir, 'probe')]).status === 0) return dir;
    rmSync(dir, { recursive: true });
  }
  console.warn('skipped: interop/sign: labels of evmctl: no folder here takes user attributes');
  return null;
}

const labels = noEvmctl ? null : xattrFolder();
const dir = labels ?? mkdtempSync(join(tmpdir(), 'kisim-sign-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const path = (name: string): string => join(dir, name);
const get = (name: string): Uint8Array => new Uint8Array(readFileSync(path(name)));

function put(name: string, data: Uint8Array | string): string {
  writeFileSync(path(name), data);
  return path(name);
}

function run(program: string, ...args: string[]): { status: number | null; text: string; out: string } {
  const p = spawnSync(program, args, { cwd: dir, encoding: 'latin1' });
  return { status: p.status, text: `${p.stdout}${p.stderr}`, out: p.stdout };
}

function must(program: string, ...args: string[]): string {
  const p = run(program, ...args);
  if (p.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${p.text}`);
  return p.out;
}

function value<T>(made: Made<T>): T {
  if (!made.ok) throw new Error(made.problem);
  return made.value;
}

const KEYS: Readonly<Record<string, readonly string[]>> = {
  rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  p256: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  p384: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  stranger: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
};
const TRUSTED = ['rsa', 'p256', 'p384'];
const signers = new Map<string, Signer>();
const signer = (name: string): Signer => signers.get(name) as Signer;

function makeKeys(): void {
  put('ca.ext', '[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\nsubjectKeyIdentifier=hash\n');
  put('leaf.ext', 'keyUsage=digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n');
  const self = ['req', '-new', '-x509', '-days', '3650', '-config', 'req.cnf', '-extensions', 'ca'];
  put('req.cnf', `[req]\ndistinguished_name=dn\n[dn]\n${readFileSync(path('ca.ext'), 'utf8')}`);
  must('openssl', 'genpkey', ...(KEYS['rsa'] as string[]), '-out', 'ca.key');
  must('openssl', ...self, '-key', 'ca.key', '-subj', '/CN=authority', '-out', 'ca.pem');
  must('openssl', 'x509', '-in', 'ca.pem', '-outform', 'der', '-out', 'ca.der');
  for (const [name, parameters] of Object.entries(KEYS)) {
    must('openssl', 'genpkey', ...parameters, '-out', `${name}.key`);
    const request = ['req', '-new', '-config', 'req.cnf', '-key', `${name}.key`, '-subj', `/CN=${name}`];
    must('openssl', ...request, '-out', `${name}.csr`);
    const by = TRUSTED.includes(name) ? ['-CA', 'ca.pem', '-CAkey', 'ca.key'] : ['-signkey', `${name}.key`];
    const issue = ['x509', '-req', '-in', `${name}.csr`, ...by, '-set_serial', String(10 + signers.size)];
    must('openssl', ...issue, '-days', '3650', '-extfile', 'leaf.ext', '-out', `${name}.pem`);
    must('openssl', 'x509', '-in', `${name}.pem`, '-outform', 'der', '-out', `${name}.der`);
    signers.set(name, value(signerOf(get(`${name}.key`), get(`${name}.der`))));
  }
}

/** Runs a scenario whose files are those of the folder; the failed checks are returned. */
function simulate(text: string): string[] {
  const readFile = (name: string): Uint8Array | undefined => (existsSync(path(name)) ? get(name) : undefined);
  const loaded = loadScenario('interop.yaml', text, { readFile });
  if (!loaded.ok) return loaded.diagnostics.map((d) => `${d.line}: ${d.message}`);
  const { report } = play(loaded.scenario);
  return report.steps.flatMap(({ step, checks }) =>
    checks.flatMap((c) => (c.ok ? [] : [`${step.line} ${c.path.join('.')}: ${c.expected}, not ${c.actual}`])),
  );
}

const MACHINE = `title: labels of evmctl
kind: regression
machine:
  cmdline: ima_appraise=enforce
  trusted_keys: { builtin: [{ file: ca.der }] }
`;
const addKeys = (ring: string): string =>
  TRUSTED.map(
    (k) => `  - { op: add_key, type: asymmetric, ring: "%${ring}", data: { file: ${k}.der } }\n`,
  ).join('');
const RULE = `  - { op: policy_row, data: "appraise func=FILE_CHECK mask=MAY_READ fsname=ext4 APPRAISE_TYPE\\n" }
`;

/** Appraisal of files with the given values of security.ima, and of the same values on another content. */
function appraisal(files: readonly string[], type: string, cause: string): string[] {
  const spec = files.flatMap((f) => [
    `        /${f}: { content: { file: data }, xattrs: { security.ima: { file: ${f} } } }\n`,
    `        /forged-${f}: { content: forged, xattrs: { security.ima: { file: ${f} } } }\n`,
  ]);
  const reads = files.flatMap((f) => [
    `  - { op: read, path: /mnt/${f}, expect: { err: OK, audit: [] } }\n`,
    `  - { op: read, path: /mnt/forged-${f}, expect: { err: EACCES, audit: [{ cause: ${cause} }] } }\n`,
  ]);
  return simulate(
    `${MACHINE}  disks:\n    - name: vdc\n      files:\n${spec.join('')}steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
${addKeys('.ima')}${RULE.replace('APPRAISE_TYPE', type)}${reads.join('')}`,
  );
}

const SIGN_HASHES: readonly HashName[] = ['sha1', 'sha256', 'sha384', 'sha512'];

beforeAll(() => {
  if (noOpenssl) return;
  makeKeys();
  put('data', 'the content that is signed\n');
}, 60_000);

describe.skipIf(noEvmctl)('evmctl ima_sign and ima_hash', () => {
  it('makes signatures that pass appraisal, and only with their content', () => {
    const made: string[] = [];
    for (const key of TRUSTED) {
      for (const alg of SIGN_HASHES) {
        must('evmctl', 'ima_sign', '--key', `${key}.key`, '-a', alg, '--sigfile', 'data');
        put(`${key}-${alg}.sig`, get('data.sig'));
        made.push(`${key}-${alg}.sig`);
      }
    }
    expect(appraisal(made, 'appraise_type=imasig', 'invalid-signature')).toEqual([]);
  }, 60_000);

  it('makes a signature that nobody trusts', () => {
    must('evmctl', 'ima_sign', '--key', 'stranger.key', '--sigfile', 'data');
    put('stranger.sig', get('data.sig'));
    expect(appraisal(['stranger.sig'], 'appraise_type=imasig', 'invalid-signature')).not.toEqual([]);
  });

  it('labels with hashes as kisim does', () => {
    const made = (['md5', 'sha1', 'rmd160', 'sha224', 'sha256', 'sha384', 'sha512'] as const).map((alg) => {
      const hex = must('evmctl', 'ima_hash', '-n', '-a', alg, 'data').trim();
      expect(toHex(imaHash(alg, get('data')))).toBe(hex);
      put(`hash-${alg}`, fromHex(hex));
      return `hash-${alg}`;
    });
    expect(appraisal(made, '', 'invalid-hash')).toEqual([]);
  });

  it.each(TRUSTED)('accepts what kisim signs with %s', (key) => {
    for (const alg of SIGN_HASHES) {
      const signature = value(imaSign(signer(key), alg, get('data')));
      const file = put(`own-${key}-${alg}`, get('data'));
      put(`own-${key}-${alg}.sig`, signature);
      const accepted = run('evmctl', 'ima_verify', '--sigfile', '--key', `${key}.der`, file);
      expect(accepted, accepted.text).toMatchObject({ status: 0, text: expect.stringContaining('is OK') });
      writeFileSync(file, 'forged');
      expect(run('evmctl', 'ima_verify', '--sigfile', '--key', `${key}.der`, file).status).not.toBe(0);
    }
  });

  it('makes the same bytes with RSA, and takes the key identifier from the same place', () => {
    for (const alg of SIGN_HASHES) {
      const theirs = must('evmctl', 'ima_sign', '-n', '-a', alg, '--key', 'rsa.key', 'data').trim();
      expect(toHex(value(imaSign(value(signerOf(get('rsa.key'), null)), alg, get('data'))))).toBe(theirs);
    }
    const from = must(
      'evmctl',
      'ima_sign',
      '-n',
      '--key',
      'p256.key',
      '--keyid-from-cert',
      'rsa.pem',
      'data',
    );
    expect(Number.parseInt(from.trim().slice(6, 14), 16)).toBe(signer('rsa').keyid);
  });

  it('makes the same version 1 signature at the same time', () => {
    must('openssl', 'rsa', '-in', 'rsa.key', '-traditional', '-out', 'rsa1.key');
    for (const alg of ['sha1', 'sha256'] as const) {
      const theirs = must('evmctl', 'ima_sign', '--rsa', '-n', '-a', alg, '--key', 'rsa1.key', 'data').trim();
      const time = new DataView(fromHex(theirs).buffer).getUint32(2, true);
      expect(toHex(value(imaSignV1(signer('rsa'), alg, get('data'), time)))).toBe(theirs);
    }
    const { key } = signer('rsa');
    if (key.kind !== 'rsa') throw new Error('an RSA key');
    must('openssl', 'rsa', '-in', 'rsa.key', '-pubout', '-out', 'rsa.pub');
    expect(must('evmctl', 'ima_sign', '--rsa', '-n', '--key', 'rsa1.key', 'data').slice(16, 32)).toBe(
      toHex(keyidV1(key)),
    );
  });

  it('knows version 3 or says that it does not', ({ skip }) => {
    const known = /--v3\b/.test(run('evmctl', '--help').text);
    if (!known) console.warn('skipped: interop/sign: version 3: the installed evmctl has no --v3');
    if (!known) return skip('the installed evmctl has no --v3');
    const theirs = must('evmctl', 'ima_sign', '--v3', '-n', '--key', 'rsa.key', 'data').trim();
    expect(toHex(value(imaSign(value(signerOf(get('rsa.key'), null)), 'sha256', get('data'), 3)))).toBe(
      theirs,
    );
  });
});

const UUID = '12345678-9abc-def0-1122-334455667788';
const HMAC_KEY = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f';
const attribute = (file: string, name: string): string =>
  /0x([0-9a-f]+)/.exec(must('getfattr', '-n', name, '-e', 'hex', '--absolute-names', file))?.[1] ?? '';

/** A file with a hash label, as evmctl sees it. */
function labelled(name: string): { readonly file: string; readonly ima: Uint8Array } {
  const file = put(name, 'the content that is signed\n');
  chmodSync(file, 0o640);
  const ima = imaHash('sha256', new Uint8Array(readFileSync(file)));
  must('setfattr', '-n', 'user.ima', '-v', `0x${toHex(ima)}`, file);
  return { file, ima };
}

/** The same with security.ima: evmctl reads no other attribute for labels that are bound to an inode. */
function securityLabelled(name: string): ReturnType<typeof labelled> | null {
  const { file, ima } = labelled(name);
  const set = run('setfattr', '-n', 'security.ima', '-v', `0x${toHex(ima)}`, file);
  if (set.status === 0) return { file, ima };
  console.warn(`skipped: interop/sign: ${name} labels: security.ima cannot be set here: ${set.text.trim()}`);
  return null;
}

function metadataOf(file: string, ima: Uint8Array, more: Partial<EvmMetadata> = {}): EvmMetadata {
  const { mode, uid, gid } = statSync(file);
  const none = { ino: 0, generation: 0, uuid: null, wordBits: 64 as const };
  return { mode, uid, gid, ...none, xattrs: new Map([['security.ima', ima]]), ...more };
}

/** One file with labels in the simulator, under a rule that has EVM asked. */
function evmScenario(
  labels_: { ima: Uint8Array; evm: Uint8Array },
  inode: string,
  config: string,
  steps: string,
): string[] {
  const xattrs = `security.ima: { hex: "${toHex(labels_.ima)}" }, security.evm: { hex: "${toHex(labels_.evm)}" }`;
  return simulate(`${MACHINE}${config}  disks:
    - name: vdc
      uuid: ${UUID}
      files:
        /f: { content: { file: data }, ${inode}, xattrs: { ${xattrs} } }
        /g: { content: { file: data }, mode: "0777", xattrs: { ${xattrs} } }
steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
${steps}`);
}

const EVM_NODE = '/sys/kernel/security/integrity/evm/evm';
const X509_MODE = `${addKeys('.evm')}  - { op: syswrite, path: ${EVM_NODE}, data: "2" }
${RULE.replace('APPRAISE_TYPE', '')}`;
const HMAC_MODE = `  - { op: add_key, type: user, desc: kmk, data: "kmk-for-tests-0123456789abcdef01", ring: -4 }
  - { op: add_key, type: encrypted, desc: evm-key, data: "new enc32 user:kmk 32 ${HMAC_KEY}", ring: -4 }
`;

describe.skipIf(noEvmctl || labels === null)('evmctl sign and verify', () => {
  it.each(TRUSTED)('makes portable signatures with %s that EVM accepts and protects', (key) => {
    const { file, ima } = labelled(`portable-${key}`);
    const { uid, gid } = statSync(file);
    const sign = ['sign', '--xattr-user', '--portable', '--generation', '0', '--key', `${key}.key`];
    must('evmctl', ...sign, file);
    const evm = fromHex(attribute(file, 'user.evm'));
    const reads = `  - { op: read, path: /mnt/f }
  - { op: chmod, path: /mnt/f, mode: "0600", expect: { err: EPERM, audit: [{ cause: pass_immutable }] } }
  - { op: read, path: /mnt/g, expect: { err: EACCES, audit: [{ cause: invalid-fail-immutable }] } }
`;
    const inode = `mode: "0640", owner: "${uid}:${gid}"`;
    expect(evmScenario({ ima, evm }, inode, '', X509_MODE + reads)).toEqual([]);
    if (key === 'rsa')
      expect(toHex(value(evmSign(signer('rsa'), 'sha256', metadataOf(file, ima), true)))).toBe(toHex(evm));
  });

  it.each(TRUSTED)('accepts portable signatures that kisim makes with %s', (key) => {
    const { file, ima } = labelled(`own-portable-${key}`);
    for (const alg of SIGN_HASHES) {
      const evm = value(evmSign(signer(key), alg, metadataOf(file, ima), true));
      must('setfattr', '-n', 'user.evm', '-v', `0x${toHex(evm)}`, file);
      const verify = ['verify', '--xattr-user', '--generation', '0', '--key', `${key}.der`, file];
      const accepted = run('evmctl', ...verify);
      expect(accepted, accepted.text).toMatchObject({ status: 0, text: expect.stringContaining('is OK') });
      chmodSync(file, 0o600);
      expect(run('evmctl', ...verify).status).not.toBe(0);
      chmodSync(file, 0o640);
    }
  });

  it('binds a plain signature to inode, generation and file system as kisim does', ({ skip }) => {
    const host = securityLabelled('bound');
    if (host === null) return skip('security.ima cannot be set here');
    const { file, ima } = host;
    const flags = ['--ino', '77', '--generation', '9', '--uid', '5', '--gid', '6', '--mode', '33188'];
    const sign = (...more: string[]): string =>
      must('evmctl', 'sign', '-n', ...flags, ...more, '--key', 'rsa.key', file).trim();
    const inode = { ino: 77, generation: 9, uid: 5, gid: 6, mode: 0o100644 };
    const uuid = fromHex(UUID.replaceAll('-', ''));
    const own = (more: Partial<EvmMetadata>): string =>
      toHex(value(evmSign(signer('rsa'), 'sha256', metadataOf(file, ima, { ...inode, ...more }), false)));
    const evm = sign(`--uuid=${UUID}`);
    expect(own({ uuid })).toBe(evm);
    expect(own({ uuid, wordBits: 32 })).toBe(sign('--m32', `--uuid=${UUID}`));
    expect(own({ uuid: null })).toBe(sign('-u'));
    // The kernel puts its own HMAC in the place of a plain signature that verifies.
    const hmac = toHex(value(evmHmac(fromHex(HMAC_KEY), 'sha1', metadataOf(file, ima, { ...inode, uuid }))));
    const steps = `${HMAC_MODE}${addKeys('.evm')}  - { op: syswrite, path: ${EVM_NODE}, data: "3" }
${RULE.replace('APPRAISE_TYPE', '')}  - { op: read, path: /mnt/f }
  - { op: getxattr, path: /mnt/f, name: security.evm, expect: { result: { value: "${hmac}" } } }
  - { op: read, path: /mnt/g, expect: { err: EACCES, audit: [{ cause: invalid-HMAC }] } }
`;
    const spec = 'mode: "0644", owner: "5:6", ino: 77, generation: 9';
    expect(evmScenario({ ima, evm: fromHex(evm) }, spec, '', steps)).toEqual([]);
  });
});

/** Labels of security modules as evmctl's switches and the file itself give them; a SELinux label ends in a NUL. */
const CONTEXT = 'system_u:object_r:bin_t:s0';
const CAPS = '0100000200200000000000000000000000000000';
const SMACK = { SMACK64: 'floor', SMACK64EXEC: 'star', SMACK64TRANSMUTE: 'TRUE', SMACK64MMAP: 'map' };
// This evmctl takes the text after --caps= as it is, whatever its help says of hexadecimal.
const given = { 'security.selinux': utf8(`${CONTEXT}\0`), 'security.capability': utf8(CAPS) };
const MODULE_LABELS: [title: string, flags: string[], set: Record<string, string>, covered: object][] = [
  ['--selinux', ['--selinux', CONTEXT], {}, { 'security.selinux': given['security.selinux'] }],
  ['--caps', [`--caps=${CAPS}`], {}, { 'security.capability': given['security.capability'] }],
  ['both', ['--selinux', CONTEXT, `--caps=${CAPS}`], {}, given],
  ["the file's own capabilities", [], { capability: `0x${CAPS}` }, { 'security.capability': fromHex(CAPS) }],
  ['the Smack label', [], SMACK, { 'security.SMACK64': utf8(SMACK.SMACK64) }],
  [
    '--smack',
    ['--smack', `--caps=${CAPS}`],
    { ...SMACK, apparmor: 'confined' },
    {
      ...Object.fromEntries(Object.entries(SMACK).map(([k, v]) => [`security.${k}`, utf8(v)])),
      'security.apparmor': utf8('confined'),
      'security.capability': given['security.capability'],
    },
  ],
];

describe.skipIf(noEvmctl || labels === null)('evmctl sign with labels of security modules', () => {
  it.for(MODULE_LABELS)('covers %s as kisim does', ([title, flags, set, covered], { skip }) => {
    const host = securityLabelled(`modules-${title.replace(/\W+/g, '-')}`);
    if (host === null) return skip('security.ima cannot be set here');
    const { file, ima } = host;
    for (const [name, text] of Object.entries(set))
      must('setfattr', '-n', `security.${name}`, '-v', text, file);
    const id = ['--ino', '77', '--generation', '9', '--uid', '5', '--gid', '6', '--mode', '33188'];
    const inode = { ino: 77, generation: 9, uid: 5, gid: 6, mode: 0o100644 };
    const xattrs = new Map([
      ...Object.entries(covered as Record<string, Uint8Array>),
      ['security.ima', ima],
    ] as [string, Uint8Array][]);
    const sign = (...more: string[]): string =>
      must('evmctl', 'sign', '-n', ...id, ...flags, ...more, '--key', 'rsa.key', file).trim();
    const own = (more: Partial<EvmMetadata>, portable: boolean): string =>
      toHex(
        value(
          evmSign(signer('rsa'), 'sha256', metadataOf(file, ima, { ...inode, ...more, xattrs }), portable),
        ),
      );
    const uuid = fromHex(UUID.replaceAll('-', ''));
    expect(own({ uuid }, false)).toBe(sign(`--uuid=${UUID}`));
    expect(own({}, true)).toBe(sign('--portable'));
    expect(own({ uuid }, false)).not.toBe(
      toHex(value(evmSign(signer('rsa'), 'sha256', metadataOf(file, ima, { ...inode, uuid }), false))),
    );
  });
});

/** Runs evmctl where /etc/keys/evm-key-plain is our key: a mount namespace, so that nothing of the host changes. */
function withEvmKey(...args: string[]): { status: number | null; text: string } {
  put('evm-key-plain', fromHex(HMAC_KEY));
  const script = `mount -t tmpfs none /etc && mkdir /etc/keys && cp "$0" /etc/keys/evm-key-plain && exec evmctl "$@"`;
  const inside = ['--mount', 'sh', '-c', script, path('evm-key-plain'), ...args];
  const root = process.getuid?.() === 0;
  const separate = run('unshare', ...(root ? [] : ['--map-root-user']), ...inside);
  if (separate.status === 0 || /generation|hmac/.test(separate.text) || !root) return separate;
  if (existsSync('/etc/keys/evm-key-plain')) return separate;
  const made = existsSync('/etc/keys') ? '/etc/keys/evm-key-plain' : '/etc/keys';
  mkdirSync('/etc/keys', { recursive: true });
  writeFileSync('/etc/keys/evm-key-plain', fromHex(HMAC_KEY));
  try {
    return run('evmctl', ...args);
  } finally {
    rmSync(made, { recursive: true });
  }
}

describe.skipIf(noEvmctl || labels === null)('evmctl hmac', () => {
  it('makes the HMAC that kisim makes and the kernel accepts', ({ skip }) => {
    const host = securityLabelled('hmac');
    if (host === null) return skip('security.ima cannot be set here');
    const { file, ima } = host;
    const made = withEvmKey('hmac', '-v', '-n', '-a', 'sha1', file);
    const generation = /generation: (\d+)/.exec(made.text)?.[1];
    const evm = `02${/hmac: ([0-9a-f]{40})/.exec(made.text)?.[1]}`;
    if (made.status !== 0 || generation === undefined) {
      const reason = made.text.trim().split('\n').at(-1);
      console.warn(`skipped: interop/sign: evmctl hmac cannot run on this host: ${reason}`);
      return skip(`evmctl hmac cannot run on this host: ${reason}`);
    }
    const { ino } = statSync(file);
    const metadata = metadataOf(file, ima, { ino, generation: Number(generation) });
    expect(toHex(value(evmHmac(fromHex(HMAC_KEY), 'sha1', metadata)))).toBe(evm);
    const spec = `mode: "0640", owner: "${metadata.uid}:${metadata.gid}", ino: ${ino}, generation: ${generation}`;
    // evmctl leaves the uuid out.
    const config = '  config: { CONFIG_EVM_ATTR_FSUUID: "n" }\n';
    const steps = `${HMAC_MODE}  - { op: syswrite, path: ${EVM_NODE}, data: "1" }
${RULE.replace('APPRAISE_TYPE', '')}  - { op: read, path: /mnt/f }
  - { op: read, path: /mnt/g, expect: { err: EACCES, audit: [{ cause: invalid-HMAC }] } }
`;
    expect(evmScenario({ ima, evm: fromHex(evm) }, spec, config, steps)).toEqual([]);
  });
});

const POLICY = 'policy_name=interop policy_version=0.0.1\nDEFAULT action=ALLOW\n';
const verifies = (...args: string[]): boolean =>
  run(
    'openssl',
    'cms',
    '-verify',
    '-inform',
    'der',
    '-CAfile',
    'ca.pem',
    '-purpose',
    'any',
    '-binary',
    ...args,
  ).status === 0;

describe.skipIf(noOpenssl)('openssl cms', () => {
  beforeAll(() => {
    put('policy', POLICY);
  });
  const sign = (out: string, tool: string, key: string, ...more: string[]): string =>
    must(
      'openssl',
      ...[tool, '-sign', '-in', 'policy', '-signer', `${key}.pem`, '-inkey', `${key}.key`, '-binary'],
      ...['-outform', 'der', '-out', out, ...more],
    );
  const PLAIN = ['-nodetach', '-noattr', '-nosmimecap', '-md', 'sha256'];

  it.each(TRUSTED)('accepts policies that kisim signs with %s', (key) => {
    put(`own-${key}.p7b`, value(signIpePolicy(signer(key), get('policy'))));
    expect(verifies('-in', `own-${key}.p7b`, '-out', 'out')).toBe(true);
    expect(readFileSync(path('out'), 'utf8')).toBe(POLICY);
    const smime = ['smime', '-verify', '-inform', 'der', '-CAfile', 'ca.pem', '-purpose', 'any', '-binary'];
    put('out', '');
    expect(run('openssl', ...smime, '-in', `own-${key}.p7b`, '-out', 'out').status).toBe(0);
    expect(readFileSync(path('out'), 'utf8')).toBe(POLICY);
    const forged = get(`own-${key}.p7b`);
    const at = Buffer.from(forged).indexOf('ALLOW');
    forged[at] = 'a'.charCodeAt(0);
    put('forged.p7b', forged);
    expect(verifies('-in', 'forged.p7b', '-out', 'out')).toBe(false);
    expect(run('openssl', ...smime, '-in', 'forged.p7b', '-out', 'out').status).not.toBe(0);
  });

  it('makes the same policy message with RSA', () => {
    sign('theirs.p7b', 'cms', 'rsa', ...PLAIN);
    expect(toHex(value(signIpePolicy(signer('rsa'), get('policy'))))).toBe(toHex(get('theirs.p7b')));
  });

  it('makes policies that the simulated kernel loads', () => {
    for (const key of TRUSTED) sign(`cms-${key}.p7b`, 'cms', key, ...PLAIN);
    sign('smime.p7b', 'smime', 'rsa', ...PLAIN);
    sign('stranger.p7b', 'cms', 'stranger', ...PLAIN);
    put('own.p7b', get('own-p384.p7b'));
    const load = (file: string, err: string): string =>
      `  - { op: syswrite, path: /sys/kernel/security/ipe/new_policy, data: { file: ${file} }, expect: { err: ${err} } }
${err === 'OK' ? '  - { op: syswrite, path: /sys/kernel/security/ipe/policies/interop/delete, data: "1" }\n' : ''}`;
    const files = [...TRUSTED.map((k) => `cms-${k}.p7b`), 'smime.p7b', 'own.p7b'];
    // The certificates of the signers are trusted themselves, because IPE follows no chain to an end certificate.
    const text = `${MACHINE}steps:\n${files.map((f) => load(f, 'OK')).join('')}${load('stranger.p7b', 'ENOKEY')}`;
    expect(simulate(text)).toEqual([]);
  });

  it('accepts appended, detached and root hash signatures', () => {
    put('module', appendedMessage(value(appendModsig(signer('rsa'), get('data')))));
    expect(verifies('-in', 'module', '-content', 'data', '-certfile', 'rsa.pem', '-out', 'out')).toBe(true);
    put(
      'detached',
      value(signMessage(signer('p256'), get('data'), { alg: 'sha384', detached: true, certificates: true })),
    );
    expect(verifies('-in', 'detached', '-content', 'data', '-out', 'out')).toBe(true);
    const hash = 'AB'.repeat(32);
    put('hash', hash.toLowerCase());
    put('hash.p7s', value(signRootHash(signer('rsa'), hash)));
    expect(verifies('-in', 'hash.p7s', '-content', 'hash', '-out', 'out')).toBe(true);
    put('hash', 'cd'.repeat(32));
    expect(verifies('-in', 'hash.p7s', '-content', 'hash', '-out', 'out')).toBe(false);
  });

  it('makes module signatures that appraisal accepts', () => {
    const cms = [
      'cms',
      '-sign',
      '-in',
      'data',
      '-signer',
      'p256.pem',
      '-inkey',
      'p256.key',
      '-binary',
      '-noattr',
    ];
    must(
      'openssl',
      ...cms,
      '-nocerts',
      '-nosmimecap',
      '-md',
      'sha256',
      '-outform',
      'der',
      '-out',
      'theirs.p7s',
    );
    const message = get('theirs.p7s');
    const own = value(appendModsig(signer('rsa'), get('data')));
    const trailer = Buffer.from(own.slice(-40));
    trailer.writeUInt32BE(message.length, 8);
    put('module-theirs', Buffer.concat([get('data'), message, trailer]));
    put('module-own', own);
    put('module-forged', Buffer.concat([Buffer.from('x'), get('data').subarray(1), message, trailer]));
    const files = ['theirs', 'own', 'forged'].map(
      (f) => `        /${f}: { content: { file: module-${f} } }\n`,
    );
    const load = (f: string, err: string): string =>
      `  - { op: finit_module, path: /mnt/${f}, expect: { err: ${err} } }\n`;
    // The content is no module: what appraisal lets through is ENOEXEC.
    expect(
      simulate(`${MACHINE}  disks:\n    - name: vdc\n      files:\n${files.join('')}steps:
  - { op: mount, src: /dev/vdc, target: /mnt, type: ext4 }
${addKeys('.ima')}  - { op: policy_row, data: "appraise func=MODULE_CHECK appraise_type=imasig|modsig\\n" }
${load('theirs', 'ENOEXEC')}${load('own', 'ENOEXEC')}${load('forged', 'EACCES')}`),
    ).toEqual([]);
  });
});

/** The PKCS#7 message of a file with an appended signature. */
function appendedMessage(signed: Uint8Array): Uint8Array {
  const length = new DataView(signed.buffer, signed.byteOffset).getUint32(signed.length - 32, false);
  return signed.slice(signed.length - 40 - length, signed.length - 40);
}
