// The real tpm2-tools against `kisim tpm serve` (both framings) and `kisim tpm pipe`. Each step is one
// tool; a failing tool's words are the failure message.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toolsMissing } from '../support.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
/** By its place: the tools run in folders that have no node_modules above them. */
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const missing = toolsMissing('tpm2-tools', 'tpm2_getrandom', 'tpm2_checkquote', 'openssl', 'sha256sum');

const directory = mkdtempSync(join(tmpdir(), 'kisim-tpm-'));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill();
  rmSync(directory, { recursive: true, force: true });
});

/** Starts `kisim tpm serve` and waits for its line. */
function serve(port: number, tcti: string): Promise<void> {
  const args = [
    '--import',
    TSX,
    MAIN,
    'tpm',
    'serve',
    '--port',
    String(port),
    '--tcti',
    tcti,
    '--seed',
    'interop',
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  children.push(child);
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(`port ${port}`)) resolve();
    });
    child.on('exit', (status) => reject(new Error(`tpm serve ended with ${status}: ${said}`)));
  });
}

const CMD_INIT = '0000000200000000';

/** Power goes and comes back: what swtpm_ioctl -i sends to the control channel. */
function init(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port + 1, '127.0.0.1', () => socket.write(Buffer.from(CMD_INIT, 'hex')));
    socket.on('error', reject);
    socket.on('data', (answer) => {
      socket.end();
      if (answer.readUInt32BE() === 0) resolve();
      else reject(new Error(`CMD_INIT: ${answer.toString('hex')}`));
    });
  });
}

type Run = (tool: string, ...args: readonly string[]) => Buffer;

/** Runs a tool in the test's directory; throws with what it said. */
function runner(tcti: string): Run {
  return (tool, ...args) => {
    const done = spawnSync(`tpm2_${tool}`, args, {
      cwd: directory,
      env: { ...process.env, TPM2TOOLS_TCTI: tcti },
    });
    if (done.status !== 0) throw new Error(`tpm2_${tool} ${args.join(' ')}: ${done.stderr.toString()}`);
    return done.stdout;
  };
}

const file = (name: string): string => join(directory, name);
const port = 20000 + (process.pid % 20000);

describe.skipIf(missing)('tpm2-tools over swtpm framing', () => {
  const tpm = runner(`swtpm:host=127.0.0.1,port=${port}`);
  beforeAll(async () => {
    await serve(port, 'swtpm');
    tpm('startup', '-c');
    writeFileSync(file('secret'), 'a secret of some length\n');
  });

  test('random numbers, capabilities, clock, self-test', () => {
    expect(tpm('getrandom', '--hex', '16').toString()).toMatch(/^[0-9a-f]{32}$/);
    expect(tpm('getcap', 'properties-fixed').toString()).toContain('TPM2_PT_VENDOR_STRING_1');
    expect(tpm('getcap', 'commands').toString()).toContain('TPM2_CC_PCR_Extend');
    expect(tpm('getcap', 'algorithms').toString()).toContain('sha512');
    expect(tpm('readclock').toString()).toContain('reset_count');
    tpm('selftest', '-f');
  });

  test('PCR: read, extend, event, reset', () => {
    const digest = '11'.repeat(32);
    tpm('pcrextend', `16:sha256=${digest}`);
    const expected = execFileSync('sha256sum', { input: Buffer.from('00'.repeat(32) + digest, 'hex') });
    const value = tpm('pcrread', 'sha256:16').toString().toLowerCase();
    expect(value).toContain(`0x${expected.toString().slice(0, 64)}`);
    tpm('pcrevent', '16', 'secret');
    tpm('pcrreset', '16');
    expect(tpm('pcrread', 'sha256:16').toString()).toContain(`0x${'0'.repeat(64)}`);
  });

  test('endorsement and attestation key, quote, checkquote', () => {
    tpm('createek', '-c', 'ek.ctx', '-G', 'rsa', '-u', 'ek.pub');
    tpm(
      'createak',
      '-C',
      'ek.ctx',
      '-c',
      'ak.ctx',
      '-G',
      'rsa',
      '-g',
      'sha256',
      '-s',
      'rsassa',
      '-u',
      'ak.pem',
      '-f',
      'pem',
    );
    const quote = [
      '-l',
      'sha256:0,10',
      '-q',
      'abcd',
      '-m',
      'q.msg',
      '-s',
      'q.sig',
      '-o',
      'q.pcrs',
      '-g',
      'sha256',
    ];
    tpm('quote', '-c', 'ak.ctx', ...quote);
    const check = ['-m', 'q.msg', '-s', 'q.sig', '-f', 'q.pcrs', '-g', 'sha256'];
    tpm('checkquote', '-u', 'ak.pem', ...check, '-q', 'abcd');
    expect(() => tpm('checkquote', '-u', 'ak.pem', ...check, '-q', 'dcba')).toThrow();
  });

  test('a credential for the attestation key is activated', () => {
    const name = /^name: (\w+)/m.exec(tpm('readpublic', '-c', 'ak.ctx').toString())?.[1] ?? '';
    tpm('makecredential', '-e', 'ek.pub', '-s', 'secret', '-n', name, '-o', 'cred');
    tpm('startauthsession', '--policy-session', '-S', 'session.ctx');
    tpm('policysecret', '-S', 'session.ctx', '-c', 'e');
    tpm(
      'activatecredential',
      '-c',
      'ak.ctx',
      '-C',
      'ek.ctx',
      '-i',
      'cred',
      '-o',
      'cred.out',
      '-P',
      'session:session.ctx',
    );
    tpm('flushcontext', 'session.ctx');
    expect(readFileSync(file('cred.out'))).toEqual(readFileSync(file('secret')));
  });

  /** `cred.bad` gives nothing away. */
  const expectNotActivated = (words: RegExp): void => {
    tpm('startauthsession', '--policy-session', '-S', 'session.ctx');
    tpm('policysecret', '-S', 'session.ctx', '-c', 'e');
    const files = ['-i', 'cred.bad', '-o', 'cred.none'];
    const activate = ['-c', 'ak.ctx', '-C', 'ek.ctx', ...files, '-P', 'session:session.ctx'];
    expect(() => tpm('activatecredential', ...activate)).toThrow(words);
    tpm('flushcontext', 'session.ctx');
    expect(existsSync(file('cred.none'))).toBe(false);
  };

  test.each([
    [
      'for another name',
      (name: string) => `${name.slice(0, -1)}${name.endsWith('0') ? '1' : '0'}`,
      (c: Buffer) => c,
    ],
    [
      'with a changed secret',
      (name: string) => name,
      (c: Buffer) => c.map((b, i) => (i === c.length - 1 ? b ^ 1 : b)),
    ],
    [
      'with a changed integrity value',
      (name: string) => name,
      (c: Buffer) => c.map((b, i) => (i === 12 ? b ^ 1 : b)),
    ],
  ] as const)('a credential %s is refused', (_, nameOf, changed) => {
    const name = /^name: (\w+)/m.exec(tpm('readpublic', '-c', 'ak.ctx').toString())?.[1] ?? '';
    tpm('makecredential', '-e', 'ek.pub', '-s', 'secret', '-n', nameOf(name), '-o', 'cred.bad');
    writeFileSync(file('cred.bad'), changed(readFileSync(file('cred.bad'))));
    expectNotActivated(/integrity|0x1DF|0x000002c4/i);
  });

  test('a credential for the endorsement key of another TPM is refused', () => {
    const name = /^name: (\w+)/m.exec(tpm('readpublic', '-c', 'ak.ctx').toString())?.[1] ?? '';
    // Another primary key of the same kind stands for the other TPM: its secret never leaves it.
    tpm('createprimary', '-C', 'o', '-G', 'rsa2048:aes128cfb', '-c', 'other.ctx');
    tpm('readpublic', '-c', 'other.ctx', '-o', 'other.pub');
    tpm('makecredential', '-e', 'other.pub', '-s', 'secret', '-n', name, '-o', 'cred.bad');
    expectNotActivated(/0x/);
  });

  test.each(['rsa', 'ecc', 'ecc384'])('%s: create, load, sign; OpenSSL verifies', (alg) => {
    tpm('createprimary', '-C', 'o', '-c', 'prim.ctx');
    tpm('create', '-C', 'prim.ctx', '-G', alg, '-u', 'k.pub', '-r', 'k.priv');
    tpm('load', '-C', 'prim.ctx', '-u', 'k.pub', '-r', 'k.priv', '-c', 'k.ctx');
    tpm('readpublic', '-c', 'k.ctx', '-f', 'pem', '-o', 'k.pem');
    tpm('sign', '-c', 'k.ctx', '-g', 'sha256', '-f', 'plain', '-o', 'sig', 'secret');
    const said = execFileSync(
      'openssl',
      ['dgst', '-sha256', '-verify', 'k.pem', '-signature', 'sig', 'secret'],
      {
        cwd: directory,
      },
    );
    expect(said.toString()).toContain('Verified OK');
  });

  test('sealing to a PCR: unseals, and no longer after an extend', () => {
    tpm('createprimary', '-C', 'o', '-c', 'prim.ctx');
    tpm('createpolicy', '--policy-pcr', '-l', 'sha256:23', '-L', 'pcr.policy');
    tpm('create', '-C', 'prim.ctx', '-u', 's.pub', '-r', 's.priv', '-L', 'pcr.policy', '-i', 'secret');
    tpm('load', '-C', 'prim.ctx', '-u', 's.pub', '-r', 's.priv', '-c', 's.ctx');
    expect(tpm('unseal', '-c', 's.ctx', '-p', 'pcr:sha256:23')).toEqual(readFileSync(file('secret')));
    tpm('pcrextend', `23:sha256=${'22'.repeat(32)}`);
    expect(() => tpm('unseal', '-c', 's.ctx', '-p', 'pcr:sha256:23')).toThrow(/0x0*99d/i);
  });

  /** Makes a policy in a session of the kind that is asked for. */
  function session(kind: 'trial' | 'policy', ...assertions: readonly (readonly string[])[]): void {
    tpm('startauthsession', '-S', 'pol.ctx', ...(kind === 'policy' ? ['--policy-session'] : []));
    for (const [tool = '', ...args] of assertions) tpm(tool, '-S', 'pol.ctx', ...args);
  }

  function sealed(policy: string, ...auth: readonly string[]): void {
    tpm('flushcontext', 'pol.ctx');
    tpm('createprimary', '-C', 'o', '-c', 'prim.ctx');
    const attributes = ['-a', 'fixedtpm|fixedparent|noda'];
    const files = ['-u', 's.pub', '-r', 's.priv', '-i', 'secret'];
    tpm('create', '-C', 'prim.ctx', ...files, '-L', policy, ...attributes, ...auth);
    tpm('load', '-C', 'prim.ctx', '-u', 's.pub', '-r', 's.priv', '-c', 's.ctx');
  }

  const unseal = (auth = ''): Buffer => tpm('unseal', '-c', 's.ctx', '-p', `session:pol.ctx${auth}`);

  test.each(['policyauthvalue', 'policypassword'])('sealing under %s needs the right word', (tool) => {
    session('trial', [tool, '-L', 'word.policy']);
    sealed('word.policy', '-p', 'word');
    session('policy', [tool]);
    expect(() => unseal('+other')).toThrow(/0x0*9(8e|a2)/i);
    tpm('flushcontext', 'pol.ctx');
    session('policy', [tool]);
    expect(unseal('+word')).toEqual(readFileSync(file('secret')));
    tpm('flushcontext', 'pol.ctx');
    session('policy');
    expect(() => unseal('+word')).toThrow(/0x0*99d/i);
    tpm('flushcontext', 'pol.ctx');
  });

  test('sealing under policysecret needs the authorization of the owner', () => {
    tpm('changeauth', '-c', 'o', 'mine');
    const owner = (word: string): string[] => ['policysecret', '-c', 'o', word];
    session('trial', [...owner('mine'), '-L', 'owner.policy']);
    tpm('changeauth', '-c', 'o', '-p', 'mine');
    sealed('owner.policy');
    tpm('changeauth', '-c', 'o', 'mine');
    session('policy');
    expect(() => tpm('policysecret', '-S', 'pol.ctx', '-c', 'o', 'other')).toThrow(/0x0*9a2/i);
    expect(() => unseal()).toThrow(/0x0*99d/i);
    tpm('policysecret', '-S', 'pol.ctx', '-c', 'o', 'mine');
    expect(unseal()).toEqual(readFileSync(file('secret')));
    tpm('flushcontext', 'pol.ctx');
    tpm('changeauth', '-c', 'o', '-p', 'mine');
  });

  test('sealing under policyor: one of two states of a register will do, a third will not', () => {
    const state = (name: string): void => {
      session('trial', ['policypcr', '-l', 'sha256:16', '-L', name]);
      tpm('flushcontext', 'pol.ctx');
    };
    const either = ['policyor', '-L', 'or.policy', 'sha256:one.policy,two.policy'];
    tpm('pcrreset', '16');
    state('one.policy');
    tpm('pcrextend', `16:sha256=${'44'.repeat(32)}`);
    state('two.policy');
    session('trial', ['policypcr', '-l', 'sha256:16'], either);
    sealed('or.policy');
    const tried = (): Buffer => {
      try {
        session('policy', ['policypcr', '-l', 'sha256:16'], either);
        return unseal();
      } finally {
        tpm('flushcontext', 'pol.ctx');
      }
    };
    expect(tried()).toEqual(readFileSync(file('secret')));
    tpm('pcrreset', '16');
    expect(tried()).toEqual(readFileSync(file('secret')));
    tpm('pcrextend', `16:sha256=${'55'.repeat(32)}`);
    expect(tried).toThrow(/0x0*1c4/i);
    tpm('pcrreset', '16');
  });

  test('a sealed object is kept over a power cycle, the registers are not', async () => {
    tpm('pcrreset', '23');
    session('trial', ['policypcr', '-l', 'sha256:23', '-L', 'pcr.policy']);
    sealed('pcr.policy');
    tpm('evictcontrol', '-C', 'o', '-c', 's.ctx', '0x81010099');
    tpm('pcrextend', `23:sha256=${'66'.repeat(32)}`);
    const attempt = (): Buffer => tpm('unseal', '-c', '0x81010099', '-p', 'pcr:sha256:23');
    expect(attempt).toThrow(/0x0*99d/i);
    tpm('shutdown', '-c');
    await init(port);
    tpm('startup', '-c');
    expect(attempt()).toEqual(readFileSync(file('secret')));
    tpm('pcrextend', `23:sha256=${'66'.repeat(32)}`);
    expect(attempt).toThrow(/0x0*99d/i);
    tpm('evictcontrol', '-C', 'o', '-c', '0x81010099');
  });

  test('salted session with parameter encryption', () => {
    tpm('createprimary', '-C', 'o', '-c', 'prim.ctx');
    tpm('startauthsession', '--hmac-session', '-c', 'prim.ctx', '-S', 'enc.ctx');
    tpm('sessionconfig', 'enc.ctx', '--enable-encrypt', '--enable-decrypt');
    tpm('create', '-C', 'prim.ctx', '-u', 'e.pub', '-r', 'e.priv', '-i', 'secret', '-P', 'session:enc.ctx');
    tpm('load', '-C', 'prim.ctx', '-u', 'e.pub', '-r', 'e.priv', '-c', 'e.ctx');
    expect(tpm('unseal', '-c', 'e.ctx', '-p', 'session:enc.ctx')).toEqual(readFileSync(file('secret')));
    tpm('flushcontext', 'enc.ctx');
  });

  test('NV: define, write, read, undefine; a counter counts', () => {
    tpm('nvdefine', '0x1500016', '-C', 'o', '-s', '24', '-a', 'ownerread|ownerwrite');
    tpm('nvwrite', '-C', 'o', '-i', 'secret', '0x1500016');
    expect(tpm('nvread', '-C', 'o', '-s', '24', '0x1500016')).toEqual(readFileSync(file('secret')));
    expect(tpm('nvreadpublic').toString()).toContain('0x1500016');
    tpm('nvundefine', '-C', 'o', '0x1500016');
    tpm('nvdefine', '0x1500017', '-C', 'o', '-a', 'ownerread|ownerwrite|nt=counter');
    tpm('nvincrement', '-C', 'o', '0x1500017');
    tpm('nvincrement', '-C', 'o', '0x1500017');
    expect(tpm('nvread', '-C', 'o', '0x1500017').readBigUInt64BE()).toBe(2n);
  });

  test('an audit session attests the command it watched', () => {
    tpm('createprimary', '-C', 'e', '-c', 'prim.ctx');
    tpm('create', '-C', 'prim.ctx', '-u', 'a.pub', '-r', 'a.priv', '-c', 'a.ctx');
    tpm('startauthsession', '-S', 'audit.ctx', '--audit-session');
    tpm('getrandom', '8', '-S', 'audit.ctx', '--cphash', 'cp.hash', '--rphash', 'rp.hash');
    tpm('getsessionauditdigest', '-c', 'a.ctx', '-m', 'att', '-s', 'att.sig', '-S', 'audit.ctx');
    tpm('flushcontext', 'audit.ctx');
    // Two bytes of size or algorithm precede each digest; the audit digest ends the TPMS_ATTEST.
    const digest = (name: string): Buffer => readFileSync(file(name)).subarray(2);
    const input = Buffer.concat([Buffer.alloc(32), digest('cp.hash'), digest('rp.hash')]);
    const expected = execFileSync('openssl', ['dgst', '-sha256', '-binary'], { input });
    expect(readFileSync(file('att')).subarray(-32)).toEqual(expected);
  });

  test('an owner policy that names one command by its cpHash allows that command only', () => {
    const define = ['nvdefine', '0x1500020', '-C', 'o', '-s', '24', '-a', 'ownerread|ownerwrite'] as const;
    tpm(...define, '--cphash', 'define.hash');
    tpm('startauthsession', '-S', 'p.ctx');
    tpm('policycphash', '-S', 'p.ctx', '-L', 'define.policy', '--cphash', 'define.hash');
    tpm('flushcontext', 'p.ctx');
    tpm('setprimarypolicy', '-C', 'o', '-L', 'define.policy', '-g', 'sha256');
    tpm('startauthsession', '-S', 'p.ctx', '--policy-session');
    tpm('policycphash', '-S', 'p.ctx', '--cphash', 'define.hash');
    const other = define.map((word) => (word === '24' ? '25' : word));
    expect(() => tpm('nvdefine', ...other.slice(1), '-P', 'session:p.ctx')).toThrow(/0x0*99d/i);
    tpm(...define, '-P', 'session:p.ctx');
    tpm('flushcontext', 'p.ctx');
    tpm('nvundefine', '-C', 'o', '0x1500020');
  });

  test('a key duplicated to another parent is imported there and signs', () => {
    const load = (parent: string, name: string, context: string): Buffer =>
      tpm('load', '-C', parent, '-u', `${name}.pub`, '-r', `${name}.priv`, '-c', context);
    tpm('createprimary', '-C', 'o', '-c', 'prim.ctx');
    const storage = 'restricted|sensitivedataorigin|decrypt|userwithauth';
    tpm('create', '-C', 'prim.ctx', '-G', 'ecc', '-u', 'np.pub', '-r', 'np.priv', '-a', storage);
    load('prim.ctx', 'np', 'np.ctx');
    const policy = (...kind: readonly string[]): void => {
      tpm('startauthsession', '-S', 'dup.ctx', ...kind);
      tpm('policycommandcode', '-S', 'dup.ctx', '-L', 'dup.policy', 'TPM2_CC_Duplicate');
    };
    policy();
    tpm('flushcontext', 'dup.ctx');
    const free = ['-a', 'sensitivedataorigin|userwithauth|sign', '-L', 'dup.policy'];
    tpm('create', '-C', 'prim.ctx', '-G', 'ecc', '-u', 'k.pub', '-r', 'k.priv', ...free);
    load('prim.ctx', 'k', 'k.ctx');
    policy('--policy-session');
    const wrapped = ['-r', 'k.dup', '-s', 'k.seed', '-G', 'aes', '-o', 'k.sym'];
    tpm('duplicate', '-C', 'np.ctx', '-c', 'k.ctx', ...wrapped, '-p', 'session:dup.ctx');
    tpm('flushcontext', 'dup.ctx');
    tpm(
      'import',
      '-C',
      'np.ctx',
      '-u',
      'k.pub',
      '-i',
      'k.dup',
      '-s',
      'k.seed',
      '-k',
      'k.sym',
      '-r',
      'k.priv',
    );
    load('np.ctx', 'k', 'k2.ctx');
    tpm('sign', '-c', 'k2.ctx', '-g', 'sha256', '-o', 'k.sig', 'secret');
    tpm('verifysignature', '-c', 'k.ctx', '-g', 'sha256', '-m', 'secret', '-s', 'k.sig');
  });

  test('wrong authorization locks out, the reset frees', () => {
    tpm('createprimary', '-C', 'o', '-c', 'prim.ctx');
    tpm('create', '-C', 'prim.ctx', '-G', 'ecc', '-u', 'd.pub', '-r', 'd.priv', '-p', 'right');
    tpm('load', '-C', 'prim.ctx', '-u', 'd.pub', '-r', 'd.priv', '-c', 'd.ctx');
    const signWith = (password: string): Buffer =>
      tpm('sign', '-c', 'd.ctx', '-p', password, '-g', 'sha256', '-o', 'sig', 'secret');
    for (let i = 0; i < 3; i++) expect(() => signWith('wrong')).toThrow(/0x0*98e/i);
    expect(() => signWith('right')).toThrow(/0x0*921/i);
    tpm('dictionarylockout', '-c');
    signWith('right');
  });
});

describe.skipIf(missing)('tpm2-tools over mssim framing', () => {
  test('start-up, random numbers, PCR', async () => {
    await serve(port + 2, 'mssim');
    const tpm = runner(`mssim:host=127.0.0.1,port=${port + 2}`);
    tpm('startup', '-c');
    expect(tpm('getrandom', '--hex', '4').toString()).toMatch(/^[0-9a-f]{8}$/);
    expect(tpm('pcrread', 'sha1:17').toString().toLowerCase()).toContain(`0x${'ff'.repeat(20)}`);
  });
});

describe.skipIf(missing)('tpm2-tools over a pipe', () => {
  const state = file('pipe.json');
  const command = `${process.execPath} --import ${TSX} ${MAIN} tpm pipe --seed interop --state ${state}`;

  test('state lives from tool to tool', () => {
    const tpm = runner(`cmd:${command}`);
    tpm('startup', '-c');
    tpm('pcrextend', `10:sha256=${'33'.repeat(32)}`);
    const expected = execFileSync('sha256sum', {
      input: Buffer.from(`${'00'.repeat(32)}${'33'.repeat(32)}`, 'hex'),
    });
    const value = tpm('pcrread', 'sha256:10').toString().toLowerCase();
    expect(value).toContain(`0x${expected.toString().slice(0, 64)}`);
    expect(existsSync(state)).toBe(true);
  });

  test('a file that is no state ends with 3 and says so', () => {
    writeFileSync(file('bad.json'), '{"format":"something else"}');
    const args = ['--import', TSX, MAIN, 'tpm', 'pipe', '--state', file('bad.json')];
    const done = spawnSync(process.execPath, args, { input: '' });
    expect(done.status).toBe(3);
    expect(done.stderr.toString()).toContain('bad.json');
  });
});
