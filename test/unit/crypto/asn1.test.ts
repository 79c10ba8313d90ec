// DER, PEM and the BER decoder; what we build is held against an independent ASN.1 library.

import { SignedData } from '@peculiar/asn1-cms';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  KeyUsage,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
} from '@peculiar/asn1-x509';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import '../../../src/crypto/auto.ts';
import { concat, fromHex, toHex, utf8 } from '../../../src/base/bytes.ts';
import { Random, seedRandom } from '../../../src/base/random.ts';
import {
  any,
  berDecode,
  choice,
  complete,
  type Element,
  explicit,
  implicit,
  integer,
  leaf,
  optional,
  sequence,
  sequenceOf,
} from '../../../src/crypto/ber.ts';
import { makeCms } from '../../../src/crypto/cms-make.ts';
import { DER_NULL, der, derBits, derInteger, derOid } from '../../../src/crypto/der.ts';
import {
  type AnyPrivateKey,
  ecPrivateKey,
  exportSpki,
  importKey,
  subjectKeyId,
} from '../../../src/crypto/keys.ts';
import { fromBase64, pemDecode, pemEncode, toBase64 } from '../../../src/crypto/pem.ts';
import { crypto, type HashName } from '../../../src/crypto/provider.ts';
import { digestInfoPrefix } from '../../../src/crypto/rsa.ts';
import { rsaGenerate } from '../../../src/crypto/rsa-key.ts';
import {
  x509CertParse,
  x509DecodeTime,
  x509Description,
  x509VerifySignedBy,
} from '../../../src/crypto/x509.ts';
import { derTime, makeCertificate } from '../../../src/crypto/x509-make.ts';

const bytesOf = (buffer: ArrayBuffer): Uint8Array => new Uint8Array(buffer);

function rsaKey(seed: string): AnyPrivateKey {
  const random = new Random(seedRandom(seed));
  return { kind: 'rsa', ...rsaGenerate(1024, 65537n, (n) => random.bytes(n)) };
}

describe('DER', () => {
  test('lengths in the shortest form', () => {
    expect(toHex(der(4, new Uint8Array(127)).subarray(0, 3))).toBe('047f00');
    expect(toHex(der(4, new Uint8Array(128)).subarray(0, 3))).toBe('048180');
    expect(toHex(der(4, new Uint8Array(256)).subarray(0, 4))).toBe('04820100');
    expect(toHex(der(4, new Uint8Array(65536)).subarray(0, 5))).toBe('0483010000');
  });

  test.each([
    [0n, '020100'],
    [127n, '02017f'],
    [128n, '02020080'],
    [255n, '020200ff'],
    [256n, '02020100'],
  ])('INTEGER %s', (value, hex) => expect(toHex(derInteger(value))).toBe(hex));

  test.each([
    ['1.2.840.113549.1.1.1', '06092a864886f70d010101'],
    ['2.5.29.14', '0603551d0e'],
    ['1.3.6.1.4.1.311.2.1.4', '060a2b060104018237020104'],
    ['2.23.133.10.1.3', '06066781050a0103'],
  ])('OBJECT IDENTIFIER %s', (dotted, hex) => expect(toHex(derOid(dotted))).toBe(hex));

  test('BIT STRING', () => expect(toHex(derBits(Uint8Array.of(1, 2)))).toBe('0303000102'));
});

describe('PEM', () => {
  test('any bytes survive', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200, size: 'max' }), (bytes) => {
        expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
        expect(fromBase64(toBase64(bytes))).toEqual(Uint8Array.from(bytes));
        const text = `before\n${pemEncode('A B', bytes)}between${pemEncode('C', Uint8Array.of(7))}`;
        expect(pemDecode(text)).toEqual([
          { label: 'A B', bytes: Uint8Array.from(bytes) },
          { label: 'C', bytes: Uint8Array.of(7) },
        ]);
      }),
    );
  });

  test('lines have at most 64 characters', () => {
    const lines = pemEncode('X', new Uint8Array(100)).trimEnd().split('\n');
    expect(Math.max(...lines.slice(1, -1).map((l) => l.length))).toBe(64);
  });

  test.each(['A', 'AB=', 'A=BC', 'AB*='])('%s is no base64', (text) =>
    expect(fromBase64(text)).toBeUndefined(),
  );
});

describe('BER as the kernel decodes it', () => {
  const seen: string[] = [];
  const note =
    (name: string) =>
    (_: null, value: Uint8Array): 0 => {
      seen.push(`${name} ${toHex(value)}`);
      return 0;
    };
  const grammar: Element<null> = sequence<null>([
    integer(note('version')),
    optional(implicit(0, leaf(0x04, note('implicit')))),
    optional(explicit(1, integer(note('explicit')))),
    complete(choice<null>(leaf(0x17), leaf(0x18)), note('time')),
    optional(sequenceOf(integer(note('item')))),
    optional(any(note('any'))),
  ]);
  const run = (hex: string): unknown => {
    seen.length = 0;
    const err = berDecode(grammar, null, fromHex(hex));
    return err === 0 ? [...seen] : err;
  };

  test.each<[string, string, unknown]>([
    ['the least', '3005020101 1700', ['version 01', 'time ']],
    [
      'everything',
      '3018020101 8001aa a103020102 180155 3006020103020104 0500',
      ['version 01', 'implicit aa', 'explicit 02', 'time 55', 'item 03', 'item 04', 'any '],
    ],
    ['trailing bytes', '3005020101 1700 ffff', ['version 01', 'time ']],
    ['a length in more bytes than needed', '308105020101 1700', ['version 01', 'time ']],
    ['an optional ANY takes the end of contents for itself', '3080 020101 1700 0000', 'EBADMSG'],
    [
      'an indefinite leaf counts its end',
      '3080 020101 1700 2480 04017f 0000 0000',
      ['version 01', 'time ', 'any 04017f0000'],
    ],
    ['a SEQUENCE without the constructed bit', '1005020101 1700', ['version 01', 'time ']],
    ['a constructed INTEGER', '3005220101 1700', 'EBADMSG'],
    ['a wrong tag', '3005020101 1600', 'EBADMSG'],
    ['an end too early', '3006020101 1700', 'EBADMSG'],
    ['an element too many', '300b020101 1700 0500 0500', 'EBADMSG'],
    ['an empty SEQUENCE OF', '3007020101 1700 3000', 'EBADMSG'],
    ['a length of three bytes', '3083000005020101 1700', 'EBADMSG'],
    ['a long tag', '3007020101 1700 1f00', 'EBADMSG'],
    ['no end of an indefinite length', '3080 020101 1700', 'EBADMSG'],
    ['nothing', '', 'EBADMSG'],
  ])('%s', (_, hex, expected) => expect(run(hex.replaceAll(' ', ''))).toEqual(expected));

  test('input over 64 KiB', () => expect(berDecode(grammar, null, new Uint8Array(65536))).toBe('EMSGSIZE'));

  test('the first action that objects ends it', () => {
    const stop = sequence<null>([integer(() => 'ENOPKG'), integer(() => 'EINVAL')]);
    expect(berDecode(stop, null, fromHex('3006020101020102'))).toBe('ENOPKG');
  });
});

describe('DigestInfo', () => {
  test.each<[HashName, string]>([
    ['md4', '1.2.840.113549.2.4'],
    ['md5', '1.2.840.113549.2.5'],
    ['sha1', '1.3.14.3.2.26'],
    ['rmd160', '1.3.36.3.2.1'],
    ['sha224', '2.16.840.1.101.3.4.2.4'],
    ['sha256', '2.16.840.1.101.3.4.2.1'],
    ['sha384', '2.16.840.1.101.3.4.2.2'],
    ['sha512', '2.16.840.1.101.3.4.2.3'],
    ['wp512', '1.0.10118.3.0.55'],
    ['sm3', '1.2.156.10197.1.401'],
    ['sha3-256', '2.16.840.1.101.3.4.2.8'],
    ['sha3-384', '2.16.840.1.101.3.4.2.9'],
    ['sha3-512', '2.16.840.1.101.3.4.2.10'],
  ])('%s', (alg, oid) => {
    const digest = crypto().hash(alg, utf8('x'));
    const built = der(0x30, der(0x30, derOid(oid), DER_NULL), der(0x04, digest));
    expect(toHex(concat(digestInfoPrefix(alg), digest))).toBe(toHex(built));
  });
});

describe('certificates and messages that we make', () => {
  const caKey = rsaKey('ca');
  const caName = [
    ['O', 'Example'],
    ['CN', 'Example root'],
  ] as const;
  const times = { notBefore: 1_600_000_000, notAfter: 4_102_444_800, hash: 'sha256' } as const;
  const leafKey = ecPrivateKey('P-256', Uint8Array.of(42));
  const request = {
    subject: [['CN', 'Größe']],
    key: leafKey,
    issuer: { key: caKey, name: caName },
    serial: 200n,
    ...times,
    ca: false,
    keyUsage: ['digitalSignature', 'keyCertSign'],
    extendedKeyUsage: ['1.3.6.1.5.5.7.3.3'],
  } as const;
  const root = makeCertificate({
    subject: caName,
    key: caKey,
    issuer: null,
    serial: 1n,
    ...times,
    ca: true,
    keyUsage: ['keyCertSign'],
  });
  const made = makeCertificate(request);

  test('an independent reader sees what was asked for', () => {
    const cert = AsnConvert.parse(made, Certificate);
    const { tbsCertificate: tbs } = cert;
    const ext = <T>(oid: string, type: new () => T): T => {
      const found = tbs.extensions?.find((e) => e.extnID === oid);
      if (found === undefined) throw new Error(`no ${oid}`);
      return AsnConvert.parse(found.extnValue.buffer, type);
    };
    expect(toHex(bytesOf(tbs.serialNumber))).toBe('00c8');
    expect(tbs.validity.notBefore.getTime().getTime()).toBe(1_600_000_000_000);
    expect(tbs.validity.notAfter.getTime().getTime()).toBe(4_102_444_800_000);
    expect(tbs.subject[0]?.[0]?.value.toString()).toBe('Größe');
    expect(tbs.issuer.map((r) => r[0]?.value.toString())).toEqual(['Example', 'Example root']);
    expect(ext('2.5.29.19', BasicConstraints).cA).toBe(false);
    expect(ext('2.5.29.15', KeyUsage).toJSON()).toEqual(['digitalSignature', 'keyCertSign']);
    expect([...ext('2.5.29.37', ExtendedKeyUsage)]).toEqual(['1.3.6.1.5.5.7.3.3']);
    expect(toHex(bytesOf(ext('2.5.29.14', SubjectKeyIdentifier).buffer))).toBe(toHex(subjectKeyId(leafKey)));
    const akid = ext('2.5.29.35', AuthorityKeyIdentifier).keyIdentifier?.buffer ?? new ArrayBuffer(0);
    expect(toHex(bytesOf(akid))).toBe(toHex(subjectKeyId(caKey)));
    expect(toHex(bytesOf(AsnConvert.serialize(cert)))).toBe(toHex(made));
    const spki = AsnConvert.parse(exportSpki(leafKey), SubjectPublicKeyInfo);
    expect(spki.algorithm.algorithm).toBe('1.2.840.10045.2.1');
  });

  test('our own reader sees the same, and who signed', () => {
    const [leafCert, rootCert] = [x509CertParse(made), x509CertParse(root)];
    if (!leafCert.ok || !rootCert.ok) throw new Error('refused');
    const cert = leafCert.value;
    expect(cert.pub).toMatchObject({
      pkeyAlgo: 'ecdsa-nist-p256',
      ca: false,
      digitalSignature: true,
      keyCertSign: true,
    });
    expect([cert.issuer, cert.subject]).toEqual(['Example root', 'Größe']);
    expect([cert.validFrom, cert.validTo]).toEqual([1_600_000_000, 4_102_444_800]);
    expect([cert.selfSigned, rootCert.value.selfSigned]).toEqual([false, true]);
    expect(x509VerifySignedBy(cert, rootCert.value.pub)).toBe(0);
    expect(x509VerifySignedBy(cert, cert.pub)).toBe('EKEYREJECTED');
    expect(x509Description(cert)).toBe(`Größe: ${toHex(subjectKeyId(leafKey))}`);
    expect(importKey(made)).toEqual({ ok: true, key: { kind: 'ec', curve: 'P-256', point: leafKey.point } });
    expect(toHex(makeCertificate(request))).toBe(toHex(made));
  });

  test('a CMS message re-encodes to itself', () => {
    const signer = {
      key: leafKey,
      certificate: made,
      hash: 'sha384',
      attributes: true,
      byKeyId: true,
    } as const;
    const cms = makeCms({
      content: utf8('text'),
      detached: true,
      signers: [{ ...signer, signingTime: 1_700_000_000 }],
      certificates: [made, root],
    });
    const signedData = AsnConvert.parse(cms.subarray(19), SignedData);
    expect(toHex(bytesOf(AsnConvert.serialize(signedData)))).toBe(toHex(cms.subarray(19)));
    const info = signedData.signerInfos[0];
    expect(info?.version).toBe(3);
    expect(info?.signedAttrs?.map((a) => a.attrType)).toHaveLength(3);
  });
});

describe('certificate times', () => {
  test('what is written is read', () => {
    const seconds = fc.integer({ min: 0, max: 253402300799 });
    fc.assert(
      fc.property(seconds, (s) => {
        const [tag, , ...content] = derTime(s);
        expect(x509DecodeTime(tag as number, Uint8Array.from(content))).toBe(s);
      }),
      { examples: [[0], [2524607999], [2524608000], [951782400], [4107542400]] },
    );
  });

  test.each<[number, string, string | undefined]>([
    [0x17, '700101000000Z', '1970-01-01T00:00:00Z'],
    [0x17, '691231235959Z', undefined],
    [0x17, '491231235960Z', '2050-01-01T00:00:00Z'],
    [0x17, '200229240000Z', '2020-03-01T00:00:00Z'],
    [0x17, '210229000000Z', undefined],
    [0x17, '2101010000Z', undefined],
    [0x17, '210101000000+', undefined],
    [0x17, '2101010000 0Z', undefined],
    [0x18, '20500101000000Z', '2050-01-01T00:00:00Z'],
    [0x18, '20490101000000Z', undefined],
    [0x18, '21000229000000Z', undefined],
    [0x04, '210101000000Z', undefined],
  ])('tag %d "%s"', (tag, text, iso) => {
    const expected = iso === undefined ? undefined : Date.parse(iso) / 1000;
    expect(x509DecodeTime(tag, utf8(text))).toBe(expected);
  });
});
