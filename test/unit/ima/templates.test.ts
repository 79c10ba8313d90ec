import { describe, expect, it } from 'vitest';
import { concat, latin1, toHex, utf8 } from '../../../src/base/bytes.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import { checkTemplateFmt } from '../../../src/ima/template.ts';
import { O_WRONLY } from '../../../src/vfs/constants.ts';
import { hashLabel, signatureLabel, World } from './world.ts';

const RULE = 'measure func=FILE_CHECK mask=MAY_READ fsname=ext4';

/** The fields of the last entry, as the ASCII list shows them. */
function fields(cmdline: string, prepare: (w: World) => void, rule = RULE): string[] {
  const w = new World({ cmdline });
  w.write('/mnt/a', 'one');
  prepare(w);
  w.policy(rule);
  w.read('/mnt/a');
  return (w.list.at(-1) ?? '').split(' ').slice(3);
}

const nothing = (): void => undefined;
const digest = toHex(crypto().hash('sha256', utf8('one')));

describe('formats', () => {
  it.each([
    ['d-ng|n-ng', 0],
    ['d', 0],
    ['', 'EINVAL'],
    ['d-ng|', 'EINVAL'],
    ['d-ng|x', 'ENOENT'],
    ['xattrlengthsxattrlengths', 'EINVAL'],
    [Array(15).fill('sig').join('|'), 0],
    [Array(16).fill('sig').join('|'), 'EINVAL'],
  ])('%s: %s', (fmt, err) => {
    expect(checkTemplateFmt(fmt)).toBe(err);
  });
});

describe('fields', () => {
  it('d-ngv2 names the kind of digest', () => {
    expect(fields('ima_template=ima-ngv2', nothing)).toEqual([`ima:sha256:${digest}`, '/mnt/a']);
  });

  it('sig holds a signature, not a hash, and the portable one of EVM otherwise', () => {
    const sig = (prepare: (w: World) => void): string => fields('ima_template=ima-sig', prepare)[2] ?? '?';
    expect(sig((w) => w.setLabel('/mnt/a', hashLabel('one')))).toBe('');
    const label = signatureLabel({});
    expect(sig((w) => w.setLabel('/mnt/a', label))).toBe(toHex(label));
    const evm = signatureLabel({ type: 5 });
    const both = (w: World): void => {
      w.setLabel('/mnt/a', hashLabel('one'));
      w.vfs.setxattr(w.task(), '/mnt/a', 'security.evm', evm, 0);
    };
    expect(sig(both)).toBe(toHex(evm));
  });

  it('the metadata of evm-sig', () => {
    const label = hashLabel('one');
    const prepare = (w: World): void => {
      w.setLabel('/mnt/a', label);
      w.vfs.setxattr(w.task(), '/mnt/a', 'security.selinux', latin1('ctx\0'), 0);
      w.vfs.chown(w.task(), '/mnt/a', 1000, 1001);
      w.vfs.chmod(w.task(), '/mnt/a', 0o640);
    };
    expect(fields('ima_template=evm-sig', prepare)).toEqual([
      `sha256:${digest}`,
      '/mnt/a',
      '',
      'security.selinux|security.ima',
      `04000000${toHex(Uint8Array.of(label.length, 0, 0, 0))}`,
      toHex(concat(latin1('ctx\0'), label)),
      '1000',
      '1001',
      '33184',
    ]);
  });

  it('buf and the modsig fields are empty for a file', () => {
    expect(fields('ima_template_fmt=n|buf|d-modsig|modsig|d', nothing)).toEqual([
      '/mnt/a',
      '',
      '',
      '',
      toHex(crypto().hash('sha1', utf8('one'))),
    ]);
  });

  it('of a violation keep name and metadata', () => {
    const w = new World({ cmdline: 'ima_template_fmt=d|d-ngv2|n-ng|imode' });
    w.write('/mnt/a', 'one');
    w.policy(RULE);
    const r = w.open('/mnt/a');
    w.write('/mnt/a', 'x', w.task(), O_WRONLY);
    w.close(r);
    expect(w.list.at(-1)?.split(' ').slice(1)).toEqual([
      '0'.repeat(40),
      'd|d-ngv2|n-ng|imode',
      '0'.repeat(40),
      `ima:sha256:${'0'.repeat(64)}`,
      '/mnt/a',
      '33188',
    ]);
  });
});

describe('digests', () => {
  it('of the old template pad the name and leave lengths out', () => {
    const w = new World({ cmdline: 'ima_template=ima' });
    w.write('/mnt/a', 'one');
    w.policy(RULE);
    w.read('/mnt/a');
    const name = new Uint8Array(256);
    name.set(utf8('/mnt/a'));
    const data = concat(crypto().hash('sha1', utf8('one')), name);
    expect(w.list[1]).toMatch(new RegExp(`^10 ${toHex(crypto().hash('sha1', data))} ima `));
    const sha256 = w.text('/sec/ascii_runtime_measurements_sha256').split('\n')[1] ?? '';
    expect(sha256).toMatch(new RegExp(`^10 ${toHex(crypto().hash('sha256', data))} ima `));
  });

  it('of a format that only looks like it do not', () => {
    const w = new World({ cmdline: 'ima_template_fmt=d|n' });
    const [entry = ''] = w.list;
    expect(entry).toContain(' d|n ');
    const binary = w.text('/sec/binary_runtime_measurements');
    expect(binary.slice(24, 31)).toBe('\x03\0\0\0d|n');
    expect(binary.charCodeAt(31)).toBe(4 + 20 + 4 + 15);
  });
});
