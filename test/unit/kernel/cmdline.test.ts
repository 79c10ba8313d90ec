import { describe, expect, it } from 'vitest';
import { parseCmdline, runSetup } from '../../../src/kernel/cmdline.ts';

const words = (text: string): (string | null)[][] => parseCmdline(text).params.map((p) => [p.name, p.value]);

describe('kernel command line', () => {
  it('splits words and values at white space', () => {
    expect(words('  quiet  loglevel=4\tima_policy=tcb ')).toEqual([
      ['quiet', null],
      ['loglevel', '4'],
      ['ima_policy', 'tcb'],
    ]);
  });

  it('keeps spaces inside quotes and drops the quotes', () => {
    expect(words('ima_policy="tcb appraise_tcb" "a=b c" "d e"')).toEqual([
      ['ima_policy', 'tcb appraise_tcb'],
      ['a', 'b c'],
      ['d e', null],
    ]);
  });

  it('keeps quotes that neither open nor end a value', () => {
    expect(words('a=b"c d"e x="y')).toEqual([
      ['a', 'b"c d"e'],
      ['x', 'y'],
    ]);
  });

  it('takes only the first equals sign, and none at the start of a word', () => {
    expect(words('a=b=c =x')).toEqual([
      ['a', 'b=c'],
      ['=x', null],
    ]);
  });

  it('hands everything after -- to init', () => {
    const line = parseCmdline('quiet -- single ima_policy=tcb');
    expect(line.params.map((p) => p.name)).toEqual(['quiet']);
    expect(line.initArgs).toEqual(['single', 'ima_policy=tcb']);
  });

  it('calls handlers in command line order, with the rest after their key, dashes as underscores', () => {
    const seen: string[] = [];
    const entry = (key: string, takes = true) => ({
      key,
      run: (rest: string) => seen.push(`${key}${rest}`) > 0 && takes,
    });
    const table = [entry('ima_hash='), entry('ima_template='), entry('ima_tcb'), entry('refused=', false)];
    const left = runSetup(
      parseCmdline(
        'ima-template=ima-sig ima_hash=sha512 ima_hash=sha1 ima_tcb refused=1 x.y=1 debug A=1 A=2',
      ),
      table,
    );
    expect(seen).toEqual([
      'ima_template=ima-sig',
      'ima_hash=sha512',
      'ima_hash=sha1',
      'ima_tcb',
      'refused=1',
    ]);
    expect(left.initArgs).toEqual(['debug']);
    expect(left.initEnv).toEqual(['refused=1', 'A=2']);
  });
});
