// Certificates and CMS messages, whole and damaged, that a recorded kernel was given: the same errno for each.

import { beforeAll, describe, expect, test } from 'vitest';
import { concat, fromHex } from '../../../src/base/bytes.ts';
import { fail, ok } from '../../../src/base/errno.ts';
import { nobleProvider } from '../../../src/crypto/noble.ts';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { pkcs7GetContentData, pkcs7ParseMessage } from '../../../src/crypto/pkcs7.ts';
import { type FindKey, pkcs7ValidateTrust, pkcs7Verify } from '../../../src/crypto/pkcs7-verify.ts';
import { useProvider } from '../../../src/crypto/provider.ts';
import { sameKeyId, x509CertParse } from '../../../src/crypto/x509.ts';
import recorded from './kernel-verdicts.json' with { type: 'json' };

type Splice = readonly [base: string, offset: number, removed: number, inserted: string, errno: string];

function damaged(
  bases: Readonly<Record<string, string>>,
  [base, offset, removed, inserted]: Splice,
): Uint8Array {
  const bytes = fromHex(bases[base] ?? '');
  return concat(bytes.subarray(0, offset), fromHex(inserted), bytes.subarray(offset + removed));
}

const verdictOf = (bytes: Uint8Array): string => {
  const cert = x509CertParse(bytes);
  return cert.ok ? 'OK' : cert.errno;
};

/** The errno of a write to ipe/new_policy as far as the signature decides it. */
function messageVerdict(bytes: Uint8Array, findKey: FindKey): string {
  const message = pkcs7ParseMessage(bytes);
  if (!message.ok) return message.errno;
  const verdict = pkcs7Verify(message.value, 'unspecified');
  if (verdict.err !== 0) return verdict.err;
  const trust = pkcs7ValidateTrust(verdict, findKey);
  // IPE asks the platform keyring next, and there the key is not known.
  if (trust !== 0) return trust === 'EKEYREJECTED' ? 'ENOKEY' : trust;
  const content = pkcs7GetContentData(message.value);
  return content.ok ? 'OK' : content.errno;
}

describe.each([nobleProvider, nodeProvider ?? nobleProvider])('as the kernel ($name)', (provider) => {
  beforeAll(() => useProvider(provider));

  test.each(recorded.certificates as [string, string, string][])('certificate %s', (_, hex, errno) => {
    expect(verdictOf(fromHex(hex))).toBe(errno);
  });

  test('damaged certificates', () => {
    const splices = recorded.damagedCertificates as unknown as Splice[];
    expect(new Set(splices.map((s) => s[4]))).toEqual(
      new Set(['OK', 'EBADMSG', 'EINVAL', 'ENOPKG', 'EKEYREJECTED']),
    );
    const answers = splices.map((s) => [...s.slice(0, 4), verdictOf(damaged(recorded.certificateBases, s))]);
    expect(answers).toEqual(splices);
  });

  test('damaged messages', () => {
    const parsed = x509CertParse(fromHex(recorded.ca));
    if (!parsed.ok) throw new Error(parsed.errno);
    const ca = parsed.value;
    const findKey: FindKey = (id0, id1) => {
      const wanted = id0 ?? id1;
      if (!sameKeyId(ca.id, wanted) && !sameKeyId(ca.rawSkid, wanted)) return fail('ENOKEY');
      if (id0 !== null && id1 !== null && !sameKeyId(ca.rawSkid, id1)) return fail('EKEYREJECTED');
      return ok(ca.pub);
    };
    const splices = recorded.messages as unknown as Splice[];
    const wanted = ['OK', 'EBADMSG', 'EINVAL', 'ENOPKG', 'ENOKEY', 'EKEYREJECTED'];
    expect(new Set(splices.map((s) => s[4]))).toEqual(new Set(wanted));
    const answers = splices.map((s) => [
      ...s.slice(0, 4),
      messageVerdict(damaged(recorded.messageBases, s), findKey),
    ]);
    expect(answers).toEqual(splices);
  });
});
