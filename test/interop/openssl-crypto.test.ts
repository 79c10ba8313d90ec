// The openssl command against our keys, signatures, certificates and messages: what it writes we read, what we write it
// accepts, and where its output is determined the bytes are the same.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import '../../src/crypto/auto.ts';
import { EMPTY, toHex, utf8 } from '../../src/base/bytes.ts';
import { Random, seedRandom } from '../../src/base/random.ts';
import { makeCms } from '../../src/crypto/cms-make.ts';
import { ecdsaFromDer, ecdsaToDer, ecPrivateFromBytes, ecSeedSize } from '../../src/crypto/ec.ts';
import {
  type AnyPrivateKey,
  ecPrivateKey,
  exportPem,
  exportPkcs1Private,
  exportPkcs1Public,
  exportPkcs8,
  exportSec1,
  exportSpki,
  importKey,
  publicOf,
} from '../../src/crypto/keys.ts';
import { pkcs7ParseMessage } from '../../src/crypto/pkcs7.ts';
import { pkcs7Verify } from '../../src/crypto/pkcs7-verify.ts';
import { type CurveName, crypto, type HashName } from '../../src/crypto/provider.ts';
import {
  rsaDecryptOaep,
  rsaDecryptPkcs1v15,
  rsaEncryptOaep,
  rsaEncryptPkcs1v15,
  rsaSignPkcs1v15,
  rsaSignPss,
  rsaVerifyPkcs1v15,
  rsaVerifyPss,
} from '../../src/crypto/rsa.ts';
import { rsaGenerate } from '../../src/crypto/rsa-key.ts';
import { x509CertParse } from '../../src/crypto/x509.ts';
import { makeCertificate } from '../../src/crypto/x509-make.ts';
import { toolsMissing } from '../support.ts';

const missing = toolsMissing('openssl against our cryptography', 'openssl');

let dir = '';
let random: Random;
const path = (name: string): string => join(dir, name);
const put = (name: string, data: Uint8Array | string): string => {
  writeFileSync(path(name), data);
  return path(name);
};
const get = (name: string): Uint8Array => new Uint8Array(readFileSync(path(name)));
const openssl = (...args: string[]): Uint8Array =>
  new Uint8Array(execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] }));
const accepts = (...args: string[]): boolean => spawnSync('openssl', args, { cwd: dir }).status === 0;
const randomBytes = (n: number): Uint8Array => random.bytes(n);

function rsaKey(bits: number): AnyPrivateKey {
  return { kind: 'rsa', ...rsaGenerate(bits, 65537n, randomBytes) };
}

function ecKey(curve: CurveName): AnyPrivateKey {
  return ecPrivateKey(curve, ecPrivateFromBytes(curve, randomBytes(ecSeedSize(curve))));
}

function imported(file: Uint8Array): unknown {
  const result = importKey(file);
  if (!result.ok) throw new Error(result.problem);
  return result.key;
}

describe.skipIf(missing)('openssl', () => {
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'kisim-crypto-'));
    random = new Random(seedRandom('openssl-crypto'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test('a generated RSA key is one, and its files are those of openssl', () => {
    const key = rsaKey(2048);
    if (key.kind !== 'rsa') throw new Error('not RSA');
    put('rsa.der', exportPkcs8(key));
    expect(accepts('rsa', '-check', '-noout', '-inform', 'DER', '-in', 'rsa.der')).toBe(true);
    openssl('rsa', '-inform', 'DER', '-in', 'rsa.der', '-traditional', '-outform', 'DER', '-out', 'rsa1.der');
    openssl('rsa', '-inform', 'DER', '-in', 'rsa.der', '-pubout', '-outform', 'DER', '-out', 'rsapub.der');
    openssl(
      'rsa',
      '-inform',
      'DER',
      '-in',
      'rsa.der',
      '-RSAPublicKey_out',
      '-outform',
      'DER',
      '-out',
      'rsapub1.der',
    );
    expect(toHex(get('rsa1.der'))).toBe(toHex(exportPkcs1Private(key)));
    expect(toHex(get('rsapub.der'))).toBe(toHex(exportSpki(key)));
    expect(toHex(get('rsapub1.der'))).toBe(toHex(exportPkcs1Public(key)));
    for (const file of ['rsa.der', 'rsa1.der']) expect(imported(get(file))).toEqual(key);
    for (const file of ['rsapub.der', 'rsapub1.der']) expect(imported(get(file))).toEqual(publicOf(key));
  });

  test.each([
    ['P-256', 'prime256v1'],
    ['P-384', 'secp384r1'],
    ['P-521', 'secp521r1'],
  ] as const)('%s keys in all forms', (curve, name) => {
    const key = ecKey(curve);
    if (key.kind !== 'ec') throw new Error('not EC');
    put('ec.der', exportPkcs8(key));
    openssl('ec', '-inform', 'DER', '-in', 'ec.der', '-outform', 'DER', '-out', 'sec1.der');
    openssl('ec', '-inform', 'DER', '-in', 'ec.der', '-pubout', '-outform', 'DER', '-out', 'ecpub.der');
    openssl(
      'ec',
      '-inform',
      'DER',
      '-in',
      'ec.der',
      '-pubout',
      '-conv_form',
      'compressed',
      '-out',
      'ecpub.pem',
    );
    expect(toHex(get('sec1.der'))).toBe(toHex(exportSec1(key)));
    expect(toHex(get('ecpub.der'))).toBe(toHex(exportSpki(key)));
    for (const file of ['ec.der', 'sec1.der']) expect(imported(get(file))).toEqual(key);
    for (const file of ['ecpub.der', 'ecpub.pem']) expect(imported(get(file))).toEqual(publicOf(key));
    openssl('ecparam', '-name', name, '-genkey', '-out', 'fresh.pem');
    openssl('pkcs8', '-topk8', '-nocrypt', '-in', 'fresh.pem', '-out', 'fresh8.pem');
    expect(imported(get('fresh8.pem'))).toEqual(imported(get('fresh.pem')));
    openssl('pkcs8', '-topk8', '-passout', 'pass:x', '-in', 'fresh.pem', '-out', 'locked.pem');
    expect(importKey(get('locked.pem'))).toEqual({ ok: false, problem: 'the private key is encrypted' });
  });

  test('RSA signatures in both directions', () => {
    const key = rsaKey(1024);
    if (key.kind !== 'rsa') throw new Error('not RSA');
    put('key.pem', exportPem(key));
    put('pub.pem', exportPem(publicOf(key)));
    put('text', 'signed text');
    const hashes: readonly HashName[] = [
      'md5',
      'sha1',
      'rmd160',
      'sha224',
      'sha256',
      'sha384',
      'sha512',
      'sha3-256',
    ];
    for (const alg of hashes) {
      const flag = alg === 'rmd160' ? '-ripemd160' : `-${alg}`;
      const digest = crypto().hash(alg, utf8('signed text'));
      openssl('dgst', flag, '-sign', 'key.pem', '-out', 'sig', 'text');
      expect(toHex(rsaSignPkcs1v15(key, alg, digest) ?? EMPTY), alg).toBe(toHex(get('sig')));
      expect(rsaVerifyPkcs1v15(key, alg, digest, get('sig'))).toBe(true);
    }
    const digest = crypto().hash('sha256', utf8('signed text'));
    put('digest', digest);
    const pss = ['-pkeyopt', 'digest:sha256', '-pkeyopt', 'rsa_padding_mode:pss'];
    for (const salt of [0, 32, 94]) {
      const options = [...pss, '-pkeyopt', `rsa_pss_saltlen:${salt}`];
      openssl('pkeyutl', '-sign', '-inkey', 'key.pem', '-in', 'digest', '-out', 'pss', ...options);
      expect(rsaVerifyPss(key, 'sha256', digest, get('pss'), salt)).toBe(true);
      put('ours', rsaSignPss(key, 'sha256', digest, randomBytes(salt)) ?? EMPTY);
      const verify = ['-pubin', '-inkey', 'pub.pem', '-in', 'digest', '-sigfile', 'ours'];
      expect(accepts('pkeyutl', '-verify', ...verify, ...options)).toBe(true);
    }
    expect(rsaSignPss(key, 'sha256', digest, new Uint8Array(95))).toBeUndefined();
  });

  test('RSA encryption in both directions', () => {
    const key = rsaKey(1024);
    if (key.kind !== 'rsa') throw new Error('not RSA');
    put('key.pem', exportPem(key));
    put('plain', 'secret');
    const oaep = [
      '-pkeyopt',
      'rsa_padding_mode:oaep',
      '-pkeyopt',
      'rsa_oaep_md:sha256',
      '-pkeyopt',
      'rsa_oaep_label:4400',
    ];
    const label = Uint8Array.of(0x44, 0);
    openssl('pkeyutl', '-encrypt', '-inkey', 'key.pem', '-in', 'plain', '-out', 'box', ...oaep);
    expect(rsaDecryptOaep(key, 'sha256', label, get('box'))).toEqual(utf8('secret'));
    put('box', rsaEncryptOaep(key, 'sha256', label, randomBytes(32), utf8('secret')) ?? EMPTY);
    expect(openssl('pkeyutl', '-decrypt', '-inkey', 'key.pem', '-in', 'box', ...oaep)).toEqual(
      utf8('secret'),
    );
    openssl('pkeyutl', '-encrypt', '-inkey', 'key.pem', '-in', 'plain', '-out', 'box');
    expect(rsaDecryptPkcs1v15(key, get('box'))).toEqual(utf8('secret'));
    put('box', rsaEncryptPkcs1v15(key, utf8('secret'), randomBytes) ?? EMPTY);
    expect(openssl('pkeyutl', '-decrypt', '-inkey', 'key.pem', '-in', 'box')).toEqual(utf8('secret'));
  });

  test.each(['P-256', 'P-384', 'P-521'] as const)('%s signatures in both directions', (curve) => {
    const key = ecKey(curve);
    if (key.kind !== 'ec') throw new Error('not EC');
    put('key.pem', exportPem(key));
    put('pub.pem', exportPem(publicOf(key)));
    put('text', 'signed text');
    const digest = crypto().hash('sha384', utf8('signed text'));
    for (let i = 0; i < 4; i++) {
      openssl('dgst', '-sha384', '-sign', 'key.pem', '-out', 'sig', 'text');
      const raw = ecdsaFromDer(curve, get('sig')) ?? EMPTY;
      expect(crypto().ecdsaVerify(curve, key.point, digest, raw)).toBe(true);
      expect(toHex(ecdsaToDer(raw))).toBe(toHex(get('sig')));
    }
    put('sig', ecdsaToDer(crypto().ecdsaSign(curve, key.d, digest)));
    expect(accepts('dgst', '-sha384', '-verify', 'pub.pem', '-signature', 'sig', 'text')).toBe(true);
  });

  test.each(['RSA', 'P-256', 'P-521'] as const)(
    'a chain of %s certificates and messages signed by it',
    (kind) => {
      const make = (): AnyPrivateKey => (kind === 'RSA' ? rsaKey(2048) : ecKey(kind));
      const [caKey, leafKey] = [make(), make()];
      const caName = [
        ['C', 'DE'],
        ['O', 'Example'],
        ['CN', 'Example root'],
      ] as const;
      const leafName = [
        ['O', 'Example'],
        ['CN', 'signer'],
        ['emailAddress', 'a@example.org'],
      ] as const;
      const times = { notBefore: 1_700_000_000, notAfter: 4_000_000_000, hash: 'sha256' } as const;
      const usage = { ca: true, keyUsage: ['digitalSignature', 'keyCertSign', 'cRLSign'] } as const;
      const ca = makeCertificate({
        subject: caName,
        key: caKey,
        issuer: null,
        serial: 1n,
        ...times,
        ...usage,
      });
      const leaf = makeCertificate({
        subject: leafName,
        key: publicOf(leafKey),
        issuer: { key: caKey, name: caName },
        serial: 0xdeadbeefcafen,
        ...times,
        ca: false,
        keyUsage: ['digitalSignature', 'decipherOnly'],
        extendedKeyUsage: ['1.3.6.1.5.5.7.3.3'],
      });
      put('ca.der', ca);
      put('leaf.der', leaf);
      openssl('x509', '-inform', 'DER', '-in', 'ca.der', '-out', 'ca.pem');
      openssl('x509', '-inform', 'DER', '-in', 'leaf.der', '-out', 'leaf.pem');
      expect(accepts('verify', '-x509_strict', '-CAfile', 'ca.pem', 'leaf.pem')).toBe(true);
      const shown = new TextDecoder().decode(
        openssl('x509', '-in', 'leaf.pem', '-noout', '-subject', '-serial', '-enddate'),
      );
      expect(shown).toContain('subject=O = Example, CN = signer, emailAddress = a@example.org');
      expect(shown).toContain('serial=DEADBEEFCAFE');
      expect(shown).toContain('notAfter=Oct  2 07:06:40 2096 GMT');
      const parsed = x509CertParse(ca);
      expect(parsed.ok && parsed.value.selfSigned).toBe(true);

      put('key.pem', exportPem(leafKey));
      put('text', 'content');
      const sign = [
        'cms',
        '-sign',
        '-binary',
        '-nosmimecap',
        '-outform',
        'DER',
        '-in',
        'text',
        '-signer',
        'leaf.pem',
      ];
      const variants = [
        {
          flags: ['-noattr', '-nocerts'],
          detached: true,
          attributes: false,
          byKeyId: false,
          certificates: [],
        },
        {
          flags: ['-noattr', '-nodetach'],
          detached: false,
          attributes: false,
          byKeyId: false,
          certificates: [leaf],
        },
        {
          flags: ['-noattr', '-nodetach', '-keyid', '-certfile', 'ca.pem'],
          detached: false,
          attributes: false,
          byKeyId: true,
          certificates: [leaf, ca],
        },
        { flags: ['-nodetach'], detached: false, attributes: true, byKeyId: false, certificates: [leaf] },
      ];
      for (const { flags, detached, attributes, byKeyId, certificates } of variants) {
        const signer = { key: leafKey, certificate: leaf, hash: 'sha256', attributes, byKeyId } as const;
        const ours = makeCms({
          content: utf8('content'),
          detached,
          signers: [{ ...signer, signingTime: attributes ? 1_800_000_000 : null }],
          certificates,
        });
        put('ours.der', ours);
        const verify = ['cms', '-verify', '-binary', '-inform', 'DER', '-in', 'ours.der', '-content', 'text'];
        const purpose = ['-CAfile', 'ca.pem', '-certfile', 'leaf.pem', '-purpose', 'any', '-out', 'out'];
        expect(accepts(...verify, ...purpose), flags.join(' ')).toBe(true);
        openssl(...sign, '-inkey', 'key.pem', ...flags, '-out', 'theirs.der');
        if (kind === 'RSA' && !attributes) expect(toHex(ours)).toBe(toHex(get('theirs.der')));
        for (const bytes of [ours, get('theirs.der')]) {
          const message = pkcs7ParseMessage(bytes);
          if (!message.ok) throw new Error(message.errno);
          const data = message.value.data ?? utf8('content');
          const verdict = pkcs7Verify({ ...message.value, data }, 'unspecified');
          expect(verdict.err).toBe(0);
          expect(message.value.haveAuthattrs).toBe(attributes);
          // The kernel looks a signer up by issuer and serial number only.
          expect(verdict.signers[0]?.cert ?? null).toBe(certificates.length === 0 || byKeyId ? null : 0);
        }
      }
    },
  );
});
