// What the linter of IPE policies says, word for word: place, severity, code, sentence and help of each diagnostic for each
// text of the corpus. KISIM_UPDATE_GOLDEN=1 writes the file anew; read what changed.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { latin1 } from '../../../src/base/bytes.ts';
import { DEFAULT_CONFIG, type KernelProfile, PROFILES } from '../../../src/base/profile.ts';
import { lintIpePolicy } from '../../../src/ipe/lint.ts';
import { ROOT } from '../../support.ts';
import { CORPUS } from './lint-corpus.ts';

const FILE = join(ROOT, 'test/unit/ipe/lint-texts.txt');
const BASE = PROFILES['linux-6.12.107'] as KernelProfile;
const without: KernelProfile = {
  ...BASE,
  config: { ...DEFAULT_CONFIG, CONFIG_IPE_PROP_DM_VERITY: 'n', CONFIG_IPE_PROP_FS_VERITY_BUILTIN_SIG: 'n' },
};

function said(text: string, profile?: KernelProfile): string {
  const { verdict, errno, diagnostics } = lintIpePolicy(
    latin1(text),
    profile === undefined ? {} : { profile },
  );
  const lines = diagnostics.map((d) => {
    const place = `${d.line}:${d.column}+${d.length}`;
    return `  ${place} ${d.severity} ${d.code}: ${d.message}${d.help === null ? '' : ` (${d.help})`}`;
  });
  return [JSON.stringify(text), `  ${verdict} ${errno ?? ''}`.trimEnd(), ...lines].join('\n');
}

const now = `${[
  ...CORPUS.map((text) => said(text)),
  '== without dm-verity and built-in fs-verity signatures',
  ...CORPUS.filter((t) => /_roothash=sha256:0{64}|fsverity_sig|dmverity_sig/.test(t)).map((t) =>
    said(t, without),
  ),
].join('\n')}\n`;

it('says of each text what the kept answers say', () => {
  if (process.env['KISIM_UPDATE_GOLDEN'] === '1') writeFileSync(FILE, now);
  const kept = readFileSync(FILE, 'utf8').split('\n');
  expect(now.split('\n')).toEqual(kept);
});
