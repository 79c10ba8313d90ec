// Quotes by the real tpm2_quote, made on the simulated TPM and on swtpm, are verified; evmctl agrees about the same
// list; event logs print as tpm2_eventlog prints them; artefacts of real machines are read.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import '../../src/crypto/auto.ts';
import { eventLogYaml } from '../../src/attest/eventlog-yaml.ts';
import { NO_POLICY } from '../../src/attest/policy-rules.ts';
import { readQuote } from '../../src/attest/quote.ts';
import { readRegisters } from '../../src/attest/registers.ts';
import { type AttestReport, readList, verify } from '../../src/attest/verify.ts';
import { concat, fromHex, latin1, toHex, utf8 } from '../../src/base/bytes.ts';
import { Writer } from '../../src/base/codec.ts';
import { exportScenario } from '../../src/cli/export.ts';
import { crypto, type HashName } from '../../src/crypto/provider.ts';
import { decodeEventLog } from '../../src/kernel/eventlog.ts';
import { toolsMissing } from '../support.ts';

const work = mkdtempSync(join(tmpdir(), 'kisim-attest-'));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill();
  rmSync(work, { recursive: true, force: true });
});
const at = (name: string): string => join(work, name);
const BANKS = ['sha1', 'sha256'] as const satisfies readonly HashName[];
const h = (alg: HashName, data: Uint8Array): Uint8Array => crypto().hash(alg, data);

/** Template data of an ima-ng record. */
function dataOf(name: string, digest: Uint8Array): Uint8Array {
  const d = concat(latin1('sha256:\0'), digest);
  const n = latin1(`${name}\0`);
  return new Writer('le').u32(d.length).bytes(d).u32(n.length).bytes(n).finish();
}

const DATA = [
  dataOf('boot_aggregate', h('sha256', new Uint8Array(320))),
  ...['/bin/a', '/bin/b', '/bin/c'].map((n) => dataOf(n, h('sha256', utf8(n)))),
];
const LIST = concat(
  ...DATA.map((data) =>
    new Writer('le')
      .u32(10)
      .bytes(h('sha1', data))
      .u32(6)
      .bytes(latin1('ima-ng'))
      .u32(data.length)
      .bytes(data)
      .finish(),
  ),
);

/** Waits until somebody listens. */
async function listening(port: number): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const open = await new Promise<boolean>((done) => {
      const socket = connect(port, '127.0.0.1', () => done(true));
      socket.on('error', () => done(false));
      socket.on('connect', () => socket.destroy());
    });
    if (open) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`nobody listens on port ${port}`);
}

const SERVERS = {
  kisim: (port: number) => [
    process.execPath,
    ...['--import', 'tsx', join(import.meta.dirname, '../../src/cli/main.ts'), 'tpm', 'serve'],
    ...['--port', String(port), '--tcti', 'swtpm', '--seed', 'attest'],
  ],
  swtpm: (port: number) => [
    ...['swtpm', 'socket', '--tpm2', '--tpmstate', `dir=${work}`, '--flags', 'not-need-init,startup-clear'],
    ...['--server', `type=tcp,port=${port}`, '--ctrl', `type=tcp,port=${port + 1}`],
  ],
} as const;

const KEYS = [
  { name: 'ecc', alg: 'ecc256:ecdsa-sha256:null', scheme: 'ecdsa' },
  { name: 'rsassa', alg: 'rsa2048:rsassa-sha256:null', scheme: 'rsassa' },
  { name: 'rsapss', alg: 'rsa2048:rsapss-sha256:null', scheme: 'rsapss' },
] as const;
const ATTRIBUTES = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign';

const tools = ['tpm2_quote', 'tpm2_createprimary', 'tpm2_pcrextend', 'tpm2_pcrread', 'evmctl', 'swtpm'];

describe.skipIf(toolsMissing('interop/attest', ...tools)).each(['kisim', 'swtpm'] as const)(
  'quotes of tpm2_quote on %s',
  (server) => {
    const port = server === 'kisim' ? 24_610 : 24_620;
    const tcti = `swtpm:host=127.0.0.1,port=${port}`;
    const tool = (name: string, ...args: readonly string[]): Buffer => {
      const r = spawnSync(name, args, { env: { ...process.env, TPM2TOOLS_TCTI: tcti }, cwd: work });
      if (r.status !== 0) throw new Error(`${name} ${args.join(' ')}: ${r.stderr.toString()}`);
      // swtpm has three places for objects and no resource manager before it.
      spawnSync('tpm2_flushcontext', ['-t'], { env: { ...process.env, TPM2TOOLS_TCTI: tcti } });
      return r.stdout;
    };
    const read = (name: string): Uint8Array => new Uint8Array(readFileSync(at(name)));

    it('starts and takes the list into its registers', async () => {
      const [program = '', ...args] = SERVERS[server](port);
      children.push(spawn(program, args, { stdio: 'ignore' }));
      await listening(port + 1);
      if (server === 'kisim') tool('tpm2_startup', '-c');
      for (const data of DATA)
        tool('tpm2_pcrextend', `10:sha1=${toHex(h('sha1', data))},sha256=${toHex(h('sha256', data))}`);
      writeFileSync(at('pcrs.yaml'), tool('tpm2_pcrread', 'sha1:all+sha256:all'));
      tool('tpm2_pcrread', '-o', 'pcrs.bin', 'sha1:all+sha256:all');
    }, 60_000);

    it.each(KEYS)(
      'by a key of the kind $name, in all forms',
      ({ name, alg, scheme }) => {
        tool('tpm2_createprimary', '-C', 'e', '-G', alg, '-a', ATTRIBUTES, '-c', `${name}.ctx`);
        for (const form of ['tss', 'pem'] as const)
          tool('tpm2_readpublic', '-c', `${name}.ctx`, '-f', form, '-o', `${name}.${form}`);
        for (const form of ['tss', 'plain'] as const) {
          const files = [
            '--scheme',
            scheme,
            '-m',
            `${name}.msg`,
            '-s',
            `${name}.${form}.sig`,
            '-o',
            `${name}.pcrs`,
            '-f',
            form,
          ];
          tool(
            'tpm2_quote',
            '-c',
            `${name}.ctx`,
            '-l',
            'sha1:10+sha256:0,1,2,3,4,5,6,7,8,9,10',
            '-q',
            '0badcafe',
            ...files,
          );
          for (const ak of ['tss', 'pem'] as const) {
            const judged = (nonce: string, pcrs: string | null): AttestReport => {
              const quoted = readQuote(read(`${name}.msg`)).selections;
              return verify({
                list: [() => [LIST]],
                registers: new Map(
                  pcrs === null ? [] : BANKS.map((b) => [b, readRegisters(read(pcrs), b, quoted)]),
                ),
                quote: {
                  quote: read(`${name}.msg`),
                  signature: read(`${name}.${form}.sig`),
                  ak: read(`${name}.${ak}`),
                  nonce: fromHex(nonce),
                },
                eventlog: null,
                policy: NO_POLICY,
                last: null,
              });
            };
            for (const pcrs of [`${name}.pcrs`, 'pcrs.yaml', 'pcrs.bin', null]) {
              const report = judged('0badcafe', pcrs);
              expect(
                report.findings.filter((f) => f.level === 'fail'),
                `${form} ${ak} ${pcrs}`,
              ).toEqual([]);
              expect(report.list.vouched).toBe(DATA.length);
            }
            expect(judged('0badcaff', 'pcrs.yaml').verdict).toBe('untrusted');
          }
        }
      },
      120_000,
    );
  },
);

describe.skipIf(toolsMissing('interop/attest evmctl', 'evmctl'))('evmctl ima_measurement', () => {
  it('agrees about the list of a scenario', () => {
    const scenario = join(import.meta.dirname, '../../scenarios/lessons/02-list-and-pcr.yaml');
    const { files } = exportScenario(scenario, { nonce: Uint8Array.of(1), key: 'ecc' });
    for (const name of ['binary_runtime_measurements', 'pcrs.sha1', 'pcrs.sha256'])
      writeFileSync(at(name), files.get(name) ?? new Uint8Array(0));
    const pcrs = BANKS.flatMap((b) => ['--pcrs', `${b},${at(`pcrs.${b}`)}`]);
    const run = (list: string): number | null =>
      spawnSync('evmctl', ['ima_measurement', ...pcrs, list]).status;
    const ours = (list: Uint8Array): string =>
      verify({
        list: [() => [list]],
        registers: new Map(
          BANKS.map((b) => [b, readRegisters(files.get(`pcrs.${b}`) ?? new Uint8Array(0), b)]),
        ),
        quote: null,
        eventlog: null,
        policy: NO_POLICY,
        last: null,
      }).verdict;
    const list = files.get('binary_runtime_measurements') ?? new Uint8Array(0);
    expect([run(at('binary_runtime_measurements')), ours(list)]).toEqual([0, 'trusted']);
    const bad = list.slice();
    bad[bad.length - 20] = (bad[bad.length - 20] ?? 0) ^ 1;
    writeFileSync(at('bad'), bad);
    expect([run(at('bad')) === 0, ours(bad)]).toEqual([false, 'untrusted']);
  });
});

const SAMPLES = process.env['KISIM_ARTEFACTS'] ?? join('..', 'shared', 'artefacts');
const has = existsSync(SAMPLES);
if (!has) console.warn(`skipped: artefacts of real machines: no folder ${SAMPLES} (set KISIM_ARTEFACTS)`);
const below = (folder: string): string[] => (has ? readdirSync(join(SAMPLES, folder)).sort() : []);
const logs = below('eventlogs');

describe.skipIf(!has)('artefacts of real machines', () => {
  it.each(logs.filter((f) => f.endsWith('.yaml')))('%s is what we print', (name) => {
    const yaml = readFileSync(join(SAMPLES, 'eventlogs', name));
    const bytes = new Uint8Array(readFileSync(join(SAMPLES, 'eventlogs', name.replace(/\.yaml$/, ''))));
    const version = yaml.includes('\nversion: 2\n') || yaml.subarray(0, 16).includes('version: 2') ? 2 : 1;
    expect(Buffer.from(latin1(eventLogYaml(bytes, version).text)).equals(yaml)).toBe(true);
  });

  it
    .skipIf(toolsMissing('interop/attest eventlog', 'tpm2_eventlog'))
    .each(logs.filter((f) => !f.endsWith('.yaml')))('%s prints as tpm2_eventlog prints it', (name) => {
    const path = join(SAMPLES, 'eventlogs', name);
    const bytes = new Uint8Array(readFileSync(path));
    // Release 5.4 extends EV_NO_ACTION events too, and refuses an old log that begins with one.
    const quirk = decodeEventLog(bytes).startupLocality !== null;
    for (const version of [1, 2] as const) {
      const run = spawnSync('tpm2_eventlog', [`--eventlog-version=${version}`, path], { maxBuffer: 1 << 26 });
      if (run.status !== 0) continue;
      const ours = Buffer.from(latin1(eventLogYaml(bytes, version).text)).toString('latin1');
      const cut = (text: string): string => (quirk ? text.replace(/^ {4}0 {2}: .*$/gm, '') : text);
      expect(cut(ours) === cut(run.stdout.toString('latin1'))).toBe(true);
    }
  });

  it.each(below('lists').filter((f) => !f.includes('tpm-2.0')))('%s is read, every digest fits', (name) => {
    const bytes = new Uint8Array(readFileSync(join(SAMPLES, 'lists', name)));
    let fits = 0;
    const count = readList([() => [bytes]], (r) => {
      const zero = r.digest.every((b) => b === 0);
      if (zero || (r.data !== null && toHex(h('sha1', r.data)) === toHex(r.digest))) fits++;
    });
    expect(fits).toBe(count);
    expect(count).toBeGreaterThan(0);
  });

  it('holds boot_aggregate, event log and registers of one boot together', () => {
    const get = (...path: string[]): Uint8Array => new Uint8Array(readFileSync(join(SAMPLES, ...path)));
    const report = verify({
      list: [() => [get('lists', 'ima-evm-utils-ascii-pcrs-8-9')]],
      registers: new Map([['sha1', readRegisters(get('lists', 'ima-evm-utils-tpm-2.0-pcrs-8-9'), 'sha1')]]),
      quote: null,
      eventlog: get('eventlogs', 'ima-evm-utils-pcrs-8-9'),
      policy: NO_POLICY,
      last: null,
    });
    const codes = report.findings.filter((f) => f.level === 'fail').map((f) => f.code);
    // The list is the first record of many: only the register that the others went into differs.
    expect(codes).toEqual(['attest.list_replay']);
  });
});
