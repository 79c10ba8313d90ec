import { describe, expect, it } from 'vitest';
import { lintImaPolicy } from '../../../src/ima/lint.ts';

const UUID = '11111111-2222-3333-4444-555555555555';

/** `line:column code` of every diagnostic but the notes. */
function found(...lines: string[]): string[] {
  const { diagnostics } = lintImaPolicy(`${lines.join('\n')}\n`);
  return diagnostics.flatMap((d) => (d.severity === 'note' ? [] : [`${d.line}:${d.column} ${d.code}`]));
}

function messages(code: string, ...lines: string[]): string[] {
  const { diagnostics } = lintImaPolicy(`${lines.join('\n')}\n`);
  return diagnostics.filter((d) => d.code === code).map((d) => d.message);
}

describe('rules that nothing can match', () => {
  it.each([
    ['measure func=MODULE_CHECK mask=MAY_EXEC', '1:27 ima.never_matches'],
    ['measure func=BPRM_CHECK mask=^MAY_WRITE', '1:25 ima.never_matches'],
    ['measure func=FILE_CHECK mask=MAY_APPEND', '1:25 ima.never_matches'],
    ['measure mask=MAY_APPEND', '1:9 ima.never_matches'],
    ['measure uid<0', '1:9 ima.never_matches'],
    ['measure euid>4294967294', '1:9 ima.never_matches'],
    ['measure fgroup<0', '1:9 ima.never_matches'],
    ['measure fsname=ext4 fsmagic=0x9fa0', '1:21 ima.never_matches'],
    ['measure func=KEY_CHECK uid<0', '1:24 ima.never_matches'],
    ['appraise func=BPRM_CHECK mask=MAY_READ', '1:26 ima.only_setattr'],
    ['measure func=FILE_CHECK mask=^MAY_APPEND', null],
    ['measure fowner>4294967294', null],
    ['measure fsname=rootfs fsmagic=0x1021994', null],
    ['measure fsname=mine fsmagic=0x9fa0', null],
  ])('%s', (line, want) => {
    expect(found(line)).toEqual(want === null ? [] : [want]);
  });
});

describe('shadowed rules', () => {
  const SHADOWED = '2:1 ima.shadowed_rule';
  it.each<[string, string, string | null]>([
    ['measure func=BPRM_CHECK', 'measure func=BPRM_CHECK uid=0', SHADOWED],
    ['dont_measure fsname=ext4', 'measure fsname=ext4 mask=^MAY_READ', SHADOWED],
    ['measure mask=MAY_EXEC', 'measure func=BPRM_CHECK', SHADOWED],
    ['measure mask=^MAY_EXEC', 'measure func=MMAP_CHECK', SHADOWED],
    ['measure uid<5', 'measure uid=4', SHADOWED],
    ['measure fsmagic=0xef53', 'measure fsname=ext4', SHADOWED],
    ['measure func=KEY_CHECK keyrings=.ima|.evm', 'measure func=KEY_CHECK keyrings=.evm', SHADOWED],
    ['measure euid=0', 'measure euid=0 fowner=3', SHADOWED],
    // Another class, another hook, another file system: both decide.
    ['audit func=BPRM_CHECK', 'measure func=BPRM_CHECK', null],
    ['measure', 'measure func=KEY_CHECK', null],
    ['measure func=FILE_CHECK mask=MAY_READ', 'measure func=FILE_CHECK mask=^MAY_READ', null],
    ['measure fsname=ext4', 'measure fsmagic=0xef53', null],
    ['measure uid=0', 'measure euid=0', null],
    ['measure euid=0', 'measure uid=0', null],
    [`measure fsuuid=${UUID}`, 'measure', null],
  ])('%s, then %s', (first, second, want) => {
    expect(found(first, second)).toEqual(want === null ? [] : [want]);
  });

  it('several rules can do it together, and only the needed ones are named', () => {
    const rules = ['measure uid<1', 'measure fsname=vfat', 'dont_measure uid>0', 'measure func=BPRM_CHECK'];
    expect(messages('ima.shadowed_rule', ...rules)).toEqual([
      'never decides: lines 1 and 3 together match everything that this rule matches',
    ]);
    const magics = ['measure func=FILE_CHECK mask=^MAY_READ', 'measure func=FILE_CHECK mask=^MAY_WRITE'];
    expect(messages('ima.shadowed_rule', ...magics, 'measure func=FILE_CHECK mask=^MAY_APPEND')).toHaveLength(
      1,
    );
    expect(messages('ima.shadowed_rule', ...magics, 'measure func=FILE_CHECK')).toHaveLength(0);
  });

  it('a repeated rule is called that', () => {
    expect(
      messages('ima.shadowed_rule', 'measure func=BPRM_CHECK uid=0', 'measure uid=0 func=BPRM_CHECK'),
    ).toEqual(['the same as line 1, which decides first']);
  });
});

describe('exceptions from nothing and hash rules that are undone', () => {
  it('a dont_ rule needs a rule that does it', () => {
    expect(found('dont_measure fsname=ext4', 'audit func=BPRM_CHECK')).toEqual(['1:1 ima.nothing_to_except']);
    expect(found('dont_hash fsname=ext4', 'hash func=FILE_CHECK')).toEqual([]);
  });

  it('an appraise rule behind a hash rule takes the action back', () => {
    expect(
      messages('ima.hash_undone', 'hash func=FILE_CHECK uid=5', 'appraise fowner=0', 'appraise uid>1'),
    ).toEqual(['never labels a file: lines 2 and 3 together, behind it, take the hash action back']);
    expect(messages('ima.hash_undone', 'appraise fowner=0', 'hash func=FILE_CHECK', 'appraise')).toEqual([]);
    expect(messages('ima.hash_undone', 'hash func=FILE_CHECK', 'appraise func=BPRM_CHECK')).toEqual([]);
  });
});

describe('flags that reach into other rules', () => {
  const leaks = (...lines: string[]): string[] =>
    lintImaPolicy(`${lines.join('\n')}\n`).diagnostics.flatMap((d) =>
      /^ima\.flag_/.test(d.code) ? [`${d.line} ${d.severity} ${d.code}: ${d.message}`] : [],
    );

  it('of another class at the same access', () => {
    expect(
      leaks('measure func=FILE_CHECK digest_type=verity template=ima-ngv2', 'appraise func=FILE_CHECK'),
    ).toEqual([
      '1 warning ima.flag_leaks: files that match this rule need an fs-verity digest for the appraisal of line 2, too',
    ]);
    expect(
      leaks('appraise func=FILE_CHECK digest_type=verity appraise_type=sigv3', 'measure func=FILE_CHECK'),
    ).toEqual([
      '1 warning ima.flag_leaks: line 2 measures the fs-verity digest of such files, and nothing of those that have none',
    ]);
    expect(leaks('measure func=FILE_CHECK permit_directio', 'appraise func=FILE_CHECK')).toEqual([
      '1 warning ima.flag_leaks: O_DIRECT opens of such files pass the appraisal of line 2, whatever their label',
    ]);
  });

  it('not where no access meets both', () => {
    expect(leaks('measure func=FILE_CHECK permit_directio', 'appraise func=BPRM_CHECK')).toEqual([]);
    expect(leaks('measure uid=0 permit_directio', 'appraise uid=1')).toEqual([]);
    expect(leaks('measure fsname=ext4 permit_directio', 'appraise fsmagic=0x9fa0')).toEqual([]);
  });

  it('of the same class at another access to the same file', () => {
    const rules = [
      'appraise func=BPRM_CHECK appraise_type=imasig',
      'appraise func=FILE_CHECK mask=^MAY_READ',
    ];
    expect(leaks(...rules)).toEqual([
      '1 note ima.flag_sticks: a file that met this rule needs a signature for line 2 as well',
    ]);
    expect(leaks(`${rules[0]} fsname=ext4`, `${rules[1]} fsname=vfat`)).toEqual([]);
    expect(leaks(`${rules[0]} fowner=0`, `${rules[1]} fowner>0`)).toEqual([]);
  });
});

describe('every problem beside the verdict', () => {
  it('with its place and help', () => {
    const report = lintImaPolicy(
      'measure func=FILE_CHEK mask=MAY_REED\nappraise keyrings=.ima\nmeasure func=BPRM_CHECK\n',
    );
    expect(report).toMatchObject({ verdict: 'rejected', errno: 'EINVAL' });
    expect(report.diagnostics.map((d) => [d.severity, d.line, d.column, d.length, d.code, d.help])).toEqual([
      ['error', 1, 14, 9, 'ima.unknown_func', 'did you mean `FILE_CHECK`?'],
      ['error', 1, 29, 8, 'ima.unknown_mask', 'did you mean `MAY_READ` or `MAY_EXEC`?'],
      ['error', 2, 10, 13, 'ima.option_not_allowed', null],
    ]);
  });

  it('a policy of 200 rules is checked in one go', () => {
    const lines = Array.from(
      { length: 200 },
      (_, i) => `measure func=FILE_CHECK mask=^MAY_READ uid=${i} fowner=${i}`,
    );
    expect(found(...lines)).toEqual([]);
    expect(found(...lines, 'measure func=FILE_CHECK mask=MAY_READ uid=7 fowner=7')).toEqual([
      '201:1 ima.shadowed_rule',
    ]);
  });
});
