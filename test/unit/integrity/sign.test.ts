// Signed values verify with the verifier's own code, in their layout, and what cannot be made is said, not thrown.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { fromHex, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { Random, seedRandom } from '../../../src/base/random.ts';
import {
  type AnyPrivateKey,
  ecPrivateKey,
  exportPem,
  publicKeyOf,
  publicOf,
} from '../../../src/crypto/keys.ts';
import { pemEncode } from '../../../src/crypto/pem.ts';
import { pkcs7ParseMessage } from '../../../src/crypto/pkcs7.ts';
import { crypto, type HashName } from '../../../src/crypto/provider.ts';
import { publicKeyVerifySignature } from '../../../src/crypto/public-key.ts';
import { rsaGenerate } from '../../../src/crypto/rsa-key.ts';
import { makeCertificate } from '../../../src/crypto/x509-make.ts';
import {
  appendModsig,
  certificateBytes,
  fileIdHash,
  imaHash,
  imaSign,
  imaSignV1,
  imaVeritySign,
  keyidOfKey,
  type Made,
  publicKeyV1,
  type Signer,
  signerOf,
  signIpePolicy,
  signMessage,
  signRootHash,
} from '../../../src/integrity/sign.ts';
import { signatureV2Hdr } from '../../../src/integrity/xattr.ts';

const random = new Random(seedRandom('sign'));
const rsa = (bits: number): AnyPrivateKey => ({
  kind: 'rsa',
  ...rsaGenerate(bits, 65537n, (n) => random.bytes(n)),
});
const KEYS: Readonly<Record<string, AnyPrivateKey>> = {
  rsa: rsa(1024),
  p256: ecPrivateKey('P-256', crypto().hash('sha256', utf8('p256'))),
  p384: ecPrivateKey('P-384', crypto().hash('sha384', utf8('p384'))),
};
const DATA = utf8('the content');

function certificate(key: AnyPrivateKey, keyIdentifiers = true): Uint8Array {
  return makeCertificate({
    subject: [['CN', 'signer']],
    key,
    issuer: null,
    serial: 7n,
    notBefore: 0,
    notAfter: 4891363200,
    hash: 'sha256',
    ca: false,
    keyUsage: ['digitalSignature'],
    keyIdentifiers,
  });
}

function value<T>(made: Made<T>): T {
  if (!made.ok) throw new Error(made.problem);
  return made.value;
}
const problem = <T>(made: Made<T>): string => (made.ok ? 'made' : made.problem);
const signer = (name: string): Signer => {
  const key = KEYS[name] as AnyPrivateKey;
  return value(signerOf(utf8(exportPem(key)), certificate(key)));
};

function verifies(key: AnyPrivateKey, hashAlgo: HashName, digest: Uint8Array, s: Uint8Array): boolean {
  const pub = publicKeyOf(publicOf(key));
  const encoding = key.kind === 'rsa' ? 'pkcs1' : 'x962';
  const pkeyAlgo = key.kind === 'rsa' ? 'rsa' : 'ecdsa';
  return publicKeyVerifySignature(pub, { pkeyAlgo, hashAlgo, encoding, s, digest }) === 0;
}

describe.each(Object.entries(KEYS))('security.ima signed with %s', (name, key) => {
  it.each(['sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const)('verifies with %s', (alg) => {
    const digest = crypto().hash(alg, DATA);
    const v2 = signatureV2Hdr(value(imaSign(signer(name), alg, DATA)));
    expect(v2).toMatchObject({ type: 3, version: 2, keyid: keyidOfKey(key), sigSize: v2?.sig.length });
    expect(verifies(key, alg, digest, v2?.sig ?? DATA)).toBe(true);
    const v3 = signatureV2Hdr(value(imaSign(signer(name), alg, DATA, 3)));
    expect(v3).toMatchObject({ type: 3, version: 3 });
    expect(verifies(key, alg, fileIdHash(3, alg, digest), v3?.sig ?? DATA)).toBe(true);
    expect(verifies(key, alg, digest, v3?.sig ?? DATA)).toBe(false);
  });

  it('is the same every time', () => {
    expect(imaSign(signer(name), 'sha256', DATA)).toEqual(imaSign(signer(name), 'sha256', DATA));
  });

  it('covers an fs-verity digest with its kind', () => {
    const digest = fromHex('ab'.repeat(32));
    const made = signatureV2Hdr(value(imaVeritySign(signer(name), 'sha256', digest)));
    expect(made).toMatchObject({ type: 6, version: 3, hashAlgo: 4 });
    const covered = crypto().hash('sha256', fromHex(`0604${'ab'.repeat(32)}`));
    expect(verifies(key, 'sha256', covered, made?.sig ?? DATA)).toBe(true);
  });
});

describe('labels without keys', () => {
  it.each([
    ['sha1', '01'],
    ['md5', '01'],
    ['rmd160', '0403'],
    ['sha256', '0404'],
    ['sha512', '0406'],
    ['sm3', '0411'],
  ] as const)('%s begins with %s', (alg, head) => {
    expect(toHex(imaHash(alg, DATA))).toBe(head + toHex(crypto().hash(alg, DATA)));
  });
});

describe('signers', () => {
  const key = KEYS['p256'] as AnyPrivateKey;
  const pem = utf8(exportPem(key));

  it('take the key identifier from the certificate beside or in the key file, else from the key', () => {
    const der = certificate(key);
    const other = Uint8Array.from(der);
    expect(value(signerOf(pem, null))).toMatchObject({ keyid: keyidOfKey(key), certificate: null });
    const both = utf8(`${exportPem(key)}${pemEncode('CERTIFICATE', der)}`);
    expect(value(signerOf(both, null)).certificate).toEqual(der);
    expect(value(signerOf(pem, other)).keyid).toBe(keyidOfKey(key));
    expect(certificateBytes(latin1('no certificate'))).toBeNull();
  });

  it('say what they cannot use', () => {
    const other = certificate(KEYS['p384'] as AnyPrivateKey);
    expect(problem(signerOf(utf8(exportPem(publicOf(key))), null))).toContain('public key');
    expect(problem(signerOf(utf8('nothing'), null))).toContain('PEM');
    expect(problem(signerOf(pem, other))).toContain('another key');
    expect(problem(signerOf(pem, utf8('nothing')))).toContain('no certificate');
    expect(problem(signerOf(pem, Uint8Array.of(0x30, 0)))).toContain('cannot be read');
    expect(problem(signerOf(pem, certificate(key, false)))).toContain('no subject key identifier');
  });
});

describe('what cannot be signed', () => {
  const short: Signer = { key: rsa(512), keyid: 0, certificate: null };

  it('is said', () => {
    expect(problem(imaSign(short, 'sha512', DATA))).toBe('the RSA key is too short for sha512');
    expect(problem(imaSignV1(signer('p256'), 'sha1', DATA, 0))).toContain('RSA');
    expect(problem(imaSignV1(signer('rsa'), 'sha512', DATA, 0))).toContain('sha1 and sha256');
    expect(problem(signIpePolicy(short, DATA))).toContain('certificate');
    expect(problem(signIpePolicy(signer('p256'), DATA, 'sm3'))).toContain('no identifier for sm3');
    expect(problem(signRootHash(signer('rsa'), 'xyz'))).toContain('hexadecimal');
  });
});

describe('version 1', () => {
  it('has the header, the length in bits, and RSA over SHA-1 of digest and header', () => {
    const made = value(imaSignV1(signer('rsa'), 'sha256', DATA, 0x01020304));
    expect(toHex(made.subarray(0, 8))).toBe('0301040302010001');
    expect(toHex(made.subarray(16, 19))).toBe('010400');
    expect(made.length).toBe(1 + 16 + 2 + 128);
    const { key } = signer('rsa');
    if (key.kind !== 'rsa') throw new Error('an RSA key');
    const s = BigInt(`0x${toHex(made.subarray(19))}`);
    const block = crypto().modPow(s, key.e, key.n).toString(16);
    const digest = crypto().hash(
      'sha1',
      new Uint8Array([...crypto().hash('sha256', DATA), ...made.subarray(1, 17)]),
    );
    expect(block).toBe(`1${'ff'.repeat(128 - 3 - 20)}00${toHex(digest)}`);
    expect(toHex(publicKeyV1(key).subarray(0, 9))).toBe('010000000000020400');
  });
});

describe('messages', () => {
  it('carry content and certificate as asked', () => {
    for (const [detached, certificates] of [
      [true, true],
      [false, false],
    ] as const) {
      const made = value(signMessage(signer('p384'), DATA, { alg: 'sha384', detached, certificates }));
      const parsed = pkcs7ParseMessage(made);
      if (!parsed.ok) throw new Error(parsed.errno);
      expect(parsed.value.data === null).toBe(detached);
      expect(parsed.value.certs).toHaveLength(certificates ? 1 : 0);
      expect(parsed.value.haveAuthattrs).toBe(false);
    }
  });

  it('take the root hash in lower case', () => {
    expect(signRootHash(signer('rsa'), 'AB')).toEqual(signRootHash(signer('rsa'), 'ab'));
  });

  it('are appended with their length and marker', () => {
    const made = value(appendModsig(signer('rsa'), DATA));
    expect(toHex(made.subarray(0, DATA.length))).toBe(toHex(DATA));
    expect(made.slice(-28)).toEqual(latin1('~Module signature appended~\n'));
    const trailer = made.slice(-40, -28);
    expect(toHex(trailer.subarray(0, 8))).toBe('0000020000000000');
    expect(new DataView(trailer.buffer).getUint32(8)).toBe(made.length - 40 - DATA.length);
  });
});
