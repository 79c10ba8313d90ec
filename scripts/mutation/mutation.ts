// Mutation tests: `npm run mutation -- [ROOM] [FILE[:FROM-TO]]... [--incremental] [--jobs N]`. Each small change of the
// room's sources must make one of its tests fail; what survives is printed, and a score below the threshold is exit code 1.

import { parseArgs } from 'node:util';
import { Stryker } from '@stryker-mutator/core';
import { filesBelow } from '../../test/support.ts';
import { ROOMS } from './rooms.ts';

const THRESHOLD = 85;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    incremental: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '1' },
  },
});
const named = positionals[0] !== undefined && positionals[0] in ROOMS;
const name = named ? (positionals[0] as string) : 'ima';
const files = named ? positionals.slice(1) : positionals;
const room = ROOMS[name];
const odd = files.filter((f) => !f.startsWith('src/'));
if (room === undefined || odd.length > 0 || !/^[1-9]\d*$/.test(values.jobs)) {
  console.error(`mutation: cannot use ${[...odd, `--jobs ${values.jobs}`].join(' ')}`);
  console.error(`rooms: ${Object.keys(ROOMS).join(', ')}; files below src/, also as FILE:FROM-TO`);
  process.exit(2);
}

const reports = `node_modules/.cache/mutation/${name}`;
await new Stryker({
  mutate: files.length > 0 ? files : [...room.mutate],
  plugins: ['./scripts/mutation/runner.mjs'],
  testRunner: 'in-process',
  kisimTests: room.tests.flatMap((folder) => filesBelow(folder, '.test.ts')),
  coverageAnalysis: 'perTest',
  concurrency: Number(values.jobs),
  timeoutMS: 60_000,
  incremental: values.incremental,
  incrementalFile: `${reports}/incremental.json`,
  tempDirName: '.mutation',
  cleanTempDir: 'always',
  reporters: ['clear-text', 'progress-append-only', 'json', 'html'],
  jsonReporter: { fileName: `${reports}/report.json` },
  htmlReporter: { fileName: `${reports}/report.html` },
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  thresholds: { high: 95, low: THRESHOLD, break: files.length > 0 ? null : THRESHOLD },
  allowConsoleColors: false,
  // `kisimTests` is an option of the runner's own.
  warnings: { unknownOptions: false, preprocessorErrors: true, unserializableOptions: true, slow: true },
}).runMutationTest();
