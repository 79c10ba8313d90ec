// Keys for scenarios that show signed files without making keys first: a small authority and the keys it certified. They are
// public, because they stand here: for teaching and tests, never for a real machine. RSA keys are kept as their primes, which
// come from the name as seed (a test makes them again); EC keys are the hash of their name.

import { assert } from '../base/assert.ts';
import { utf8 } from '../base/bytes.ts';
import { type AnyPrivateKey, ecPrivateKey } from '../crypto/keys.ts';
import { type CurveName, crypto } from '../crypto/provider.ts';
import { rsaFromPrimes } from '../crypto/rsa-key.ts';
import { makeCertificate, type NamePart } from '../crypto/x509-make.ts';
import { keyidOfKey, type Signer } from '../integrity/sign.ts';

/** Primes of the RSA keys, from rsaGenerate() with the seed `kisim teaching key NAME`. */
const RSA_PRIMES: Readonly<Record<string, readonly [string, string]>> = {
  ca: [
    'f812f20569e7f160ccfe7af4ad425c75874780c77dcd26139c814a6717b58a1c' +
      '80074b5f8ef9debd9be8e9eeb481df65a449daec1a8f664e9a70b754d9d3137e' +
      'edea9901e7fb46c8c4ef46173beefa4b17b4175ab159844512d7f655d035694a' +
      'c9e97b952fc189d42cf6130b23e5e0ecda4167819ea5ada41f6f6dce4c2b732d',
    'd7e08d3e18fb4ff694b229ae58a6475fa91453ef031968f82edc8e395145cb9c' +
      'b964e0f1106e79c701b17a11bab57decd75b12e7ed83d5f1d4db7d958062d6e8' +
      '18f53ca0003eb58e46c5cb6d5beb3504f1c795a371bbdd8d94a7394eeb688273' +
      '319aeac69ea9aeccc5115bbfa33523b52354b4353344007700e1094b0acda473',
  ],
  ima: [
    'dd5f267a36569550a4a9b047c0e511124689b014dd205ab0d48f542af5d4cfb1' +
      '7c1d37fe35f228089ba97b213e94ed93b66980b9a0db186f68f9be83a495b23c' +
      '2f74d821ed314f5925177aa728954b4f43277654154f46c0d2b4adf17b5da614' +
      '22d3b3a7e3437bc0f8c5a64c9debf30d9f4fe8f40bb54104cfc14507cc5942a9',
    'c42dfbed98f6568cc0ee8024d6d3dcaa9c3731f5fc65addab6a96a395375789c' +
      '32289f79b6710ac17911a9187379dbebeff288cf0518ce3452cfbb191672bca0' +
      'f5a72c450b39ad3cc6805de5b855282effe046282afdba6a60ace20a5fa6b5eb' +
      '820f3c03732d93ce3971e7d4fd5ce612fecf7930b21d41954a84d7910d42c711',
  ],
  evm: [
    'f6af5dfde1b13a5d249fcd8c494175ad0d74227eb716694751cebb62fe4f6c21' +
      'e12aa4cbe2f9cce2e05b2d5d55a6439f27b64cb7fc1eb4cac3feb0b07344ccb3' +
      'ec844c1dc22202f4cf6b09f35e9b0f6c173f67a7d6e7ff9469607cae07b8b172' +
      '8a46ec76e9f34c966bfbf15d281ad9ab0312767ff94d6f3261992932df4de349',
    'c19ccfa3f8b929c086b01a21d22fe747c73fb98d6b612cf9c14e174fe5f31dd7' +
      '51dbefa6544562a51c310a4913e03300be03c7ca6c9422c13686ea2342cc7f01' +
      '367dd41e72d2ee8cb4751780b82b3ca15fa8deeb6b175cc9fed65a206fed4bc7' +
      'a2e6c33bd25ecb1a3b140cdbf023bebd8b42f8f7dece640fc75aa13b222eaad5',
  ],
  ipe: [
    'd04a8bbc98db98ca1a7aafe8410b598e7fb8b27e54f24fbd2430a34b921ada05' +
      '8c01259f8275f6650c27da592ad328101403e2e6e6b1eb97029ecf9e7a2d607d' +
      '5eed1a2153ef1b52ba0e643192c05b4c00f5cfedbe5484b475d6dcad4f4ac2ec' +
      '2f0629ae6ecfde32d3a2a86093c663687af2f077d4079458346b2c8b1aba6691',
    'cf1e38646280f6201332d474a35d7b149398297bb0582366647eaf0ceb7a8f17' +
      'df97a3a60130e5af4e2abcf2c46168bcea8d728c2a9e4b1e4985f82904ae5749' +
      'e8a7faa1028a9072a106fbef06a729e1a39fb9a0049991ad468af0e467004417' +
      'b931f02ac6a0d81714fc436c26df39c7eacdba3eaf96e022649f3319c65dfda3',
  ],
};

const EC_CURVES: Readonly<Record<string, CurveName>> = {
  'ima-p256': 'P-256',
  'ima-p384': 'P-384',
  'evm-p256': 'P-256',
  fsverity: 'P-256',
  stranger: 'P-256',
};

/** Names, in the order of their serial numbers. */
export const TEACHING_KEYS: readonly string[] = [...Object.keys(RSA_PRIMES), ...Object.keys(EC_CURVES)];

/** 2025-01-01 and 2125-01-01. */
const NOT_BEFORE = 1735689600;
const NOT_AFTER = 4891363200;

/** What the seed of a key is made from. */
export function teachingSeed(name: string): string {
  return `kisim teaching key ${name}`;
}

function keyOf(name: string): AnyPrivateKey {
  const primes = RSA_PRIMES[name];
  if (primes !== undefined) {
    const key = rsaFromPrimes(BigInt(`0x${primes[0]}`), BigInt(`0x${primes[1]}`), 65537n);
    assert(key !== undefined, `the primes of teaching key ${name} fit`);
    return { kind: 'rsa', ...key };
  }
  const curve = EC_CURVES[name];
  assert(curve !== undefined, `teaching key ${name}`);
  const hash = curve === 'P-384' ? 'sha384' : 'sha256';
  return ecPrivateKey(curve, crypto().hash(hash, utf8(teachingSeed(name))));
}

const nameOf = (name: string): readonly NamePart[] => [
  ['O', 'kisim teaching keys'],
  ['CN', name],
];

/** Signs itself: the authority, and the one that nobody trusts. */
const SELF_SIGNED: ReadonlySet<string> = new Set(['ca', 'stranger']);

const signers = new Map<string, Signer>();

/** The signer of that name; its certificate is signed by `ca`, or by itself for `ca` and `stranger`. */
export function teachingSigner(name: string): Signer {
  const known = signers.get(name);
  if (known !== undefined) return known;
  const key = keyOf(name);
  const self = SELF_SIGNED.has(name);
  const certificate = makeCertificate({
    subject: nameOf(name),
    key,
    issuer: self ? null : { key: teachingSigner('ca').key, name: nameOf('ca') },
    serial: BigInt(TEACHING_KEYS.indexOf(name) + 1),
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    hash: 'sha256',
    ca: name === 'ca',
    keyUsage: name === 'ca' ? ['keyCertSign', 'cRLSign'] : ['digitalSignature'],
  });
  const signer: Signer = { key, keyid: keyidOfKey(key), certificate };
  signers.set(name, signer);
  return signer;
}
