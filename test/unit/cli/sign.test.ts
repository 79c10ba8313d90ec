// `kisim sign` as scripts use it: what it writes where, and how it refuses.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { fromHex, toHex, utf8 } from '../../../src/base/bytes.ts';
import { ecPrivateKey, exportPem } from '../../../src/crypto/keys.ts';
import { pemEncode } from '../../../src/crypto/pem.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { makeCertificate } from '../../../src/crypto/x509-make.ts';
import { type EvmMetadata, evmHmac, evmSign } from '../../../src/evm/sign.ts';
import {
  appendModsig,
  imaHash,
  imaSign,
  imaVeritySign,
  type Made,
  type Signer,
  signerOf,
  signIpePolicy,
  signMessage,
  signRootHash,
} from '../../../src/integrity/sign.ts';
import { fsVerityDigest, fsVerityFormattedDigest } from '../../../src/vfs/fsverity.ts';
import { ROOT } from '../../support.ts';

const MAIN = join(ROOT, 'dist/cli/main.js');
const dir = mkdtempSync(join(tmpdir(), 'kisim-sign-cli-'));
afterAll(() => rmSync(dir, { recursive: true }));
const get = (name: string): string => toHex(new Uint8Array(readFileSync(join(dir, name))));

function kisim(...args: string[]): { status: number | null; out: string; err: string } {
  const r = spawnSync(process.execPath, [MAIN, 'sign', ...args], { cwd: dir, encoding: 'utf8' });
  return { status: r.status, out: r.stdout.trim(), err: r.stderr };
}

function hex(made: Made<Uint8Array>): string {
  if (!made.ok) throw new Error(made.problem);
  return toHex(made.value);
}

const DATA = utf8('content\n');
const KEY = ecPrivateKey('P-256', crypto().hash('sha256', utf8('cli')));
const FILES = ['--key', 'key.pem', '--cert', 'cert.pem'];
let signer: Signer;

beforeAll(() => {
  if (!existsSync(MAIN)) throw new Error('dist/ is missing: run `npm run build` first (npm test does)');
  const certificate = makeCertificate({
    subject: [['CN', 'cli']],
    key: KEY,
    issuer: null,
    serial: 1n,
    notBefore: 0,
    notAfter: 4891363200,
    hash: 'sha256',
    ca: false,
    keyUsage: ['digitalSignature'],
  });
  writeFileSync(join(dir, 'f'), DATA);
  writeFileSync(join(dir, 'key.pem'), exportPem(KEY));
  writeFileSync(join(dir, 'cert.pem'), pemEncode('CERTIFICATE', certificate));
  writeFileSync(join(dir, 'evm-key'), 'k'.repeat(32));
  const made = signerOf(utf8(exportPem(KEY)), certificate);
  if (!made.ok) throw new Error(made.problem);
  signer = made.value;
});

describe('kisim sign', () => {
  it('writes FILE.sig, prints, or writes where -o says', () => {
    const value = hex(imaSign(signer, 'sha512', DATA));
    expect(kisim(...FILES, '-a', 'sha512', 'f')).toEqual({ status: 0, out: 'f.sig', err: '' });
    expect(get('f.sig')).toBe(value);
    expect(kisim(...FILES, '-a', 'sha512', '-n', 'f').out).toBe(value);
    expect(kisim(...FILES, '-a', 'sha512', '-o', 'elsewhere', 'f').out).toBe('elsewhere');
    expect(get('elsewhere')).toBe(value);
  });

  it('makes every form', () => {
    const digest = fsVerityDigest(DATA);
    const message = { alg: 'sha256', detached: true } as const;
    expect(kisim('--imahash', 'f').out).toBe(toHex(imaHash('sha256', DATA)));
    expect(kisim(...FILES, '--v3', '-n', 'f').out).toBe(hex(imaSign(signer, 'sha256', DATA, 3)));
    expect(kisim(...FILES, '--verity', '-n', 'f').out).toBe(hex(imaVeritySign(signer, 'sha256', digest)));
    kisim(...FILES, '--modsig', 'f');
    expect(get('f.signed')).toBe(hex(appendModsig(signer, DATA)));
    kisim(...FILES, '--detached', 'f');
    expect(get('f.p7s')).toBe(hex(signMessage(signer, DATA, { ...message, certificates: true })));
    kisim(...FILES, '--verity', '--detached', 'f');
    const text = fsVerityFormattedDigest('sha256', digest);
    expect(get('f.p7s')).toBe(hex(signMessage(signer, text, { ...message, certificates: false })));
    expect(kisim(...FILES, '--root-hash', 'AB', '-n').out).toBe(hex(signRootHash(signer, 'ab')));
    const keyid = kisim(...FILES, '--keyid', '01020304', '-n', 'f').out;
    expect(keyid.slice(6, 14)).toBe('01020304');
  });

  it('signs a policy and says when the kernel will refuse it', () => {
    const made = kisim(...FILES, '--ipe', 'f', '-o', 'p.p7b');
    expect(made).toMatchObject({ status: 0, err: expect.stringContaining('refuse this policy') });
    expect(get('p.p7b')).toBe(hex(signIpePolicy(signer, DATA)));
  });

  it('covers the metadata that the options say', () => {
    const ima = imaHash('sha256', DATA);
    const selinux = utf8('label');
    const metadata: EvmMetadata = {
      ino: 12,
      generation: 7,
      uid: 5,
      gid: 6,
      mode: 0o100755,
      uuid: fromHex('123456789abcdef01122334455667788'),
      wordBits: 64,
      xattrs: new Map([
        ['security.ima', ima],
        ['security.selinux', selinux],
      ]),
    };
    const owner = [
      '--mode',
      '0755',
      '--uid',
      '5',
      '--gid',
      '6',
      '--imahash',
      '--set',
      'security.selinux=label',
    ];
    const inode = ['--ino', '12', '--generation', '7', '--uuid', '12345678-9abc-def0-1122-334455667788'];
    const lines = (...args: string[]): string[] => kisim(...args, ...owner, 'f').out.split('\n');
    const first = toHex(ima);
    expect(lines('--evm', '--portable', ...FILES)).toEqual([
      first,
      hex(evmSign(signer, 'sha256', metadata, true)),
    ]);
    expect(lines('--evm', ...inode, ...FILES)).toEqual([
      first,
      hex(evmSign(signer, 'sha256', metadata, false)),
    ]);
    const small = hex(evmSign(signer, 'sha256', { ...metadata, wordBits: 32 }, false));
    expect(lines('--evm', '--m32', ...inode, ...FILES)[1]).toBe(small);
    const hmac = hex(evmHmac(utf8('k'.repeat(32)), 'sha1', metadata));
    expect(lines('--evm', '--hmac', ...inode, '--key', 'evm-key')[1]).toBe(hmac);
  });

  it.each([
    [['f'], 2, 'the signing key is missing'],
    [[...FILES], 2, 'nothing to sign'],
    [[...FILES, '--ipe', '--modsig', 'f'], 2, 'one form at a time'],
    [[...FILES, '--v1', '--v2', 'f'], 2, 'one version at a time'],
    [[...FILES, '--portable', 'f'], 2, 'go with --evm'],
    [[...FILES, '--evm', '--imahash', 'f'], 2, 'generation is missing'],
    [[...FILES, '--evm', '--imahash', '--generation', '1', 'f'], 2, 'uuid is missing'],
    [[...FILES, '--evm', '--portable', 'f'], 3, 'no attribute that EVM covers'],
    [[...FILES, '--evm', '--portable', '--set', 'security.selinux=s', 'f'], 3, 'needs security.ima'],
    [[...FILES, '--v1', '--timestamp', 'now', 'f'], 2, 'is no number'],
    [[...FILES, '--evm', '--portable', '-'], 2, 'name the file'],
    [[...FILES, '--evm', '--portable', '--set', 'user.x=1', 'f'], 2, 'is no attribute'],
    [[...FILES, '--evm', '--portable', '--imahash', '--mode', '9x', 'f'], 2, 'is no number'],
    [['--key', 'f', 'f'], 3, 'no well-formed PEM block'],
    [['--key', 'key.pem', '--modsig', 'f'], 3, 'needs the certificate'],
    [[...FILES, 'missing'], 3, 'no such file'],
    [[...FILES, '--verity', '-a', 'sha1', 'f'], 2, 'fs-verity knows'],
    [[...FILES, '-a', 'sha0', 'f'], 2, 'Allowed choices'],
  ] as const)('refuses %j with exit %i', (args, status, text) => {
    const ran = kisim(...args);
    expect(ran).toMatchObject({ status, out: '', err: expect.stringContaining(text) });
    expect(ran.err).not.toMatch(/\n\s+at /);
  });
});
