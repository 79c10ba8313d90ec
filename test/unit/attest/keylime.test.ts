// keylime's policies, in the forms of its releases: allow list (version 1 and before), runtime policy, flat list. Records
// that they allow and refuse, and mistakes with their byte.

import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { readPolicy } from '../../../src/attest/policy.ts';
import type { AttestPolicy } from '../../../src/attest/policy-rules.ts';
import { templateDataOf } from '../../../src/attest/record.ts';
import { UnreadableError } from '../../../src/attest/verdict.ts';
import { verify } from '../../../src/attest/verify.ts';
import { concat, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { Writer } from '../../../src/base/codec.ts';
import { exportSpki, publicOf } from '../../../src/crypto/keys.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { imaSign } from '../../../src/integrity/sign.ts';
import { makeKeys } from '../../../src/scenario/keys.ts';

const made = makeKeys({ ima: {}, rsa: { type: 'rsa-2048' }, other: {} }, 'keylime');
const key = (n: string) => {
  const found = made.ok ? made.keys.get(n) : undefined;
  if (found === undefined) throw new Error(`no key ${n}`);
  return found;
};
const sha = (data: Uint8Array): Uint8Array => crypto().hash('sha256', data);
const hex = (text: string | Uint8Array): string => toHex(sha(typeof text === 'string' ? utf8(text) : text));

function record(
  template: string,
  name: string,
  digest: Uint8Array,
  ...more: readonly Uint8Array[]
): Uint8Array {
  const data = templateDataOf([concat(latin1('sha256:\0'), digest), latin1(`${name}\0`), ...more], 'le');
  const w = new Writer('le').u32(10).bytes(crypto().hash('sha1', data)).u32(template.length);
  return w.bytes(latin1(template)).u32(data.length).bytes(data).finish();
}

const file = (name: string, content: string): Uint8Array => record('ima-ng', name, sha(utf8(content)));
const buffer = (name: string, data: Uint8Array): Uint8Array => record('ima-buf', name, sha(data), data);
const signed = (name: string, content: string, by: string): Uint8Array => {
  const sig = imaSign({ ...key(by), certificate: null }, 'sha256', utf8(content));
  if (!sig.ok) throw new Error('unsigned');
  return record('ima-sig', name, sha(utf8(content)), sig.value);
};

const BOOT = record('ima-ng', 'boot_aggregate', new Uint8Array(32));
const policy = (form: unknown): AttestPolicy =>
  readPolicy(utf8(typeof form === 'string' ? form : JSON.stringify(form)), () => undefined);

/** Failures as `record code`. */
function failures(form: unknown, ...records: readonly Uint8Array[]): string[] {
  const report = verify({
    list: [() => [concat(BOOT, ...records)]],
    registers: new Map(),
    quote: null,
    eventlog: null,
    policy: policy(form),
    last: null,
  });
  return report.findings.filter((f) => f.level === 'fail').map((f) => `${f.record} ${f.code}`);
}

const EMPTY = {
  meta: { version: 1, generator: 3 },
  release: 0,
  digests: {},
  excludes: [],
  keyrings: {},
  ima: { ignored_keyrings: [], log_hash_alg: 'sha1', dm_policy: null },
  'ima-buf': {},
  'verification-keys': '',
};

const pubkey = (n: string): string => Buffer.from(exportSpki(publicOf(key(n).key))).toString('base64');

describe('a runtime policy', () => {
  it('allows digests of a path and nothing else', () => {
    const form = { ...EMPTY, digests: { '/bin/a': [hex('old'), hex('new').toUpperCase()] } };
    expect(failures(form, file('/bin/a', 'new'))).toEqual([]);
    expect(failures(form, file('/bin/a', 'evil'), file('/bin/b', 'new'))).toEqual([
      '1 attest.wrong_digest',
      '2 attest.unlisted',
    ]);
  });

  it('leaves out what a pattern matches from the start of the name', () => {
    const form = { ...EMPTY, excludes: ['/tmp/.*', '', '/var'] };
    expect(failures(form, file('/tmp/x', '1'), file('/var/log', '2'), file('/mnt/tmp/x', '3'))).toEqual([
      '3 attest.unlisted',
    ]);
  });

  it('holds keys against their keyring and buffers against their label, not against files', () => {
    const der = key('ima').certificate;
    const form = {
      ...EMPTY,
      keyrings: { '.ima': [hex(der)] },
      'ima-buf': { 'kexec-cmdline': [hex('quiet')] },
    };
    expect(failures(form, buffer('.ima', der), buffer('kexec-cmdline', utf8('quiet')))).toEqual([]);
    expect(
      failures(
        form,
        buffer('.ima', key('other').certificate),
        buffer('.evm', der),
        buffer('kexec-cmdline', utf8('debug')),
        buffer('.ima', utf8('quiet')),
        record('ima-ng', '.ima', sha(der)),
      ),
    ).toEqual([
      '1 attest.wrong_digest',
      '2 attest.unlisted',
      '3 attest.wrong_digest',
      '4 attest.unlisted',
      '5 attest.unlisted',
    ]);
  });

  it('does not ask about ignored keyrings', () => {
    const ignored = (...names: string[]) => ({ ...EMPTY, ima: { ...EMPTY.ima, ignored_keyrings: names } });
    const key1 = buffer('.evm', key('ima').certificate);
    expect(failures(ignored('.evm'), key1)).toEqual([]);
    expect(failures(ignored('*'), key1, buffer('.evm', utf8('no key')))).toEqual(['2 attest.unlisted']);
    expect(failures(ignored('.ima'), key1)).toEqual(['1 attest.unlisted']);
  });

  it.each(['ima', 'rsa'])('takes signatures by verification keys (%s)', (n) => {
    const keys = JSON.stringify({ meta: { version: 1 }, pubkeys: [pubkey(n)], keyids: [null] });
    for (const form of [
      { ...EMPTY, 'verification-keys': keys },
      { ...EMPTY, 'verification-keys': JSON.stringify(keys) },
      { ...EMPTY, 'verification-keys': { pubkeys: [pubkey(n)] } },
    ]) {
      expect(failures(form, signed('/bin/a', 'x', n))).toEqual([]);
      expect(failures(form, signed('/bin/a', 'x', 'other'))).toEqual(['1 attest.untrusted_signature']);
    }
  });

  it('finds a key by the identifier that the policy gives it', () => {
    const { keyid } = key('ima');
    const form = {
      ...EMPTY,
      'verification-keys': JSON.stringify({ pubkeys: [pubkey('ima')], keyids: [keyid] }),
    };
    expect(failures(form, signed('/bin/a', 'x', 'ima'))).toEqual([]);
  });

  it('trusts a key from the list on, once its keyring allows it', () => {
    const form = { ...EMPTY, keyrings: { '.ima': [hex(key('ima').certificate)] } };
    const bring = buffer('.ima', key('ima').certificate);
    expect(failures(form, bring, signed('/bin/a', 'x', 'ima'))).toEqual([]);
    expect(failures(form, signed('/bin/a', 'x', 'ima'), bring)).toEqual(['1 attest.unlisted']);
    expect(failures(EMPTY, bring, signed('/bin/a', 'x', 'ima'))).toEqual([
      '1 attest.unlisted',
      '2 attest.unlisted',
    ]);
  });
});

describe('older forms', () => {
  it('allow list with `hashes` and its keys', () => {
    const form = {
      meta: { version: 1, generator: 'keylime-legacy-format-upgrade', checksum: '' },
      release: '0',
      hashes: { '/bin/a': [hex('x')] },
      keyrings: {},
      ima: { ignored_keyrings: [] },
      exclude: ['/tmp'],
      ima_sign_verification_keys: { meta: { version: 1 }, pubkeys: [pubkey('ima')], keyids: [] },
    };
    expect(failures(form, file('/bin/a', 'x'), file('/tmp/y', 'y'), signed('/b', 'z', 'ima'))).toEqual([]);
    expect(failures(form, file('/bin/a', 'y'))).toEqual(['1 attest.wrong_digest']);
  });

  it('flat list of digests and paths, with spaces and comments', () => {
    const form = `${hex('x')}  /bin/a b\n# comment\n\n${hex('y')} /bin/c\n${hex('z')} /bin/c\n`;
    expect(failures(form, file('/bin/a b', 'x'), file('/bin/c', 'z'))).toEqual([]);
    expect(failures(form, file('/bin/a', 'x'))).toEqual(['1 attest.unlisted']);
  });
});

describe('mistakes have a byte', () => {
  it.each([
    ['{"digests": {"/a": ["00"], }', /JSON|Expected/, null],
    ['{"digests": {"/a": 7}}', /no list of digests/, '"/a"'],
    ['{"digests": []}', /no object/, '"digests"'],
    ['{"digests": {}, "excludes": ["("]}', /regular expression/i, '"excludes"'],
    ['{"digests": {}, "excludes": [7]}', /no list of texts/, '"excludes"'],
    ['{"digests": {}, "ima": {"dm_policy": {}}}', /device-mapper/, '"dm_policy"'],
    ['{"digests": {}, "ima": {"ignored_keyrings": "x"}}', /no list of texts/, '"ignored_keyrings"'],
    ['{"digests": {}, "verification-keys": "{"}', /verification-keys/, '"verification-keys"'],
    ['{"digests": {}, "verification-keys": "{\\"pubkeys\\":[\\"AAAA\\"]}"}', /key 0/, '"verification-keys"'],
    ['{"digests": {}, "verification-keys": {"pubkeys": 7}}', /no list/, '"verification-keys"'],
    ['{"meta": {"version": "x"}, "digests": {}}', /no number/, '"version"'],
    [`${'00'.repeat(32)} /a\nnonsense\n`, /nonsense/, 'nonsense'],
  ])('%s', (text, message, place) => {
    let error: unknown = null;
    try {
      policy(text);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(UnreadableError);
    const { what } = error as UnreadableError;
    expect(what.message).toMatch(message);
    if (place !== null) expect(what.byte).toBe(text.indexOf(place));
    else expect(what.byte).toBeGreaterThan(0);
  });
});
