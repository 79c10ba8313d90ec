import { describe, expect, it } from 'vitest';
import { latin1, utf8 } from '../../../src/base/bytes.ts';
import { O_WRONLY } from '../../../src/vfs/constants.ts';
import { hashLabel, World, type WorldOptions } from './world.ts';

const HERE = 'fsname=ext4';
const MEASURE = `measure func=FILE_CHECK mask=MAY_READ ${HERE}`;
const APPRAISE = `appraise func=FILE_CHECK mask=MAY_READ ${HERE}`;

function world(rules: readonly string[], options: WorldOptions = {}): World {
  const w = new World(options);
  w.write('/mnt/a', 'one');
  w.policy(...rules);
  return w;
}

/** The last audit record without the task's part. */
function lastAudit(w: World): string {
  const body = w.auditBodies().at(-1) ?? '';
  return body.replace(/pid=.*? op=/, 'op=').replace(/ dev=.*? ino=\d+/, '');
}

/** The value of the register before and after an action. */
function register(w: World, act: () => void): 'same' | 'extended' {
  const before = w.chip?.extends.length;
  act();
  return w.chip?.extends.length === before ? 'same' : 'extended';
}

describe('an entry that cannot be had', () => {
  it.each([
    ['ima_alloc_init_template', '1804 op=add_template_measure cause=ENOMEM comm="init" name="/mnt/a" res=0'],
    ['ima_add_digest_entry', '1804 op=add_template_measure cause=ENOMEM comm="init" name="/mnt/a" res=0'],
    [
      'ima_calc_field_array_hash',
      '1804 op=add_template_measure cause=hashing_error comm="init" name="ima-ng" res=0',
    ],
  ] as const)('%s: the access goes on, the next one tries again', (site, record) => {
    const w = world([MEASURE]);
    w.fails(site);
    expect(register(w, () => expect(w.read('/mnt/a')).toBe(0))).toBe('same');
    expect(w.names).toEqual(['boot_aggregate']);
    expect(lastAudit(w)).toBe(`${record} errno=0`);
    expect(w.iint('/mnt/a')?.measuredPcrs).toBe(0);
    expect(register(w, () => expect(w.read('/mnt/a')).toBe(0))).toBe('extended');
    expect(w.names).toEqual(['boot_aggregate', '/mnt/a']);
  });

  it('of a violation leaves only the audit record and the counter', () => {
    for (const site of ['ima_alloc_init_template', 'ima_add_digest_entry'] as const) {
      const w = world([MEASURE]);
      const f = w.open('/mnt/a');
      w.fails(site);
      expect(register(w, () => expect(w.read('/mnt/a', w.task(), O_WRONLY)).toBe(0))).toBe('same');
      w.close(f);
      expect(w.names).toEqual(['boot_aggregate', '/mnt/a']);
      expect(lastAudit(w)).toBe('1804 op=invalid_pcr cause=ToMToU comm="init" name="/mnt/a" res=0 errno=0');
      expect(w.ima.state.violations).toBe(1);
    }
  });

  it('of a buffer is said with the errno', () => {
    const w = world(['measure func=CRITICAL_DATA label=x']);
    w.fails('ima_alloc_init_template');
    expect(w.ima.criticalData(w.task(), 'x', 'event', utf8('data'), false)).toBe('ENOMEM');
    expect(lastAudit(w)).toBe(
      '1804 op=measuring_critical_data cause=alloc_entry comm="init" name="event" res=0 errno=-12',
    );
    w.fails('ima_add_digest_entry');
    expect(w.ima.criticalData(w.task(), 'x', 'event', utf8('data'), false)).toBe('ENOMEM');
    expect(lastAudit(w)).toContain('cause=store_entry');
  });

  it('of the boot aggregate ends the start of IMA', () => {
    const w = new World({ faults: ['ima_alloc_init_template'] });
    expect(w.initErr).toBe('ENOMEM');
    expect(w.ima.state.initialized).toBe(false);
    expect(lastAudit(w)).toBe(
      '1804 op=add_boot_aggregate cause=alloc_entry comm="swapper" name="boot_aggregate" res=0 errno=0',
    );
  });
});

describe('a TPM that does not extend', () => {
  it.each([
    [null, 'TPM_error(257)'],
    [0x922, 'TPM_error(2338)'],
  ])('leaves the entry in the list (rc %s)', (rc, cause) => {
    const w = world([MEASURE]);
    w.fails('tpm_pcr_extend', 1, 1, rc);
    expect(register(w, () => expect(w.read('/mnt/a')).toBe(0))).toBe('same');
    expect(w.names).toEqual(['boot_aggregate', '/mnt/a']);
    expect(lastAudit(w)).toBe(
      `1804 op=add_template_measure cause=${cause} comm="init" name="/mnt/a" res=1 errno=0`,
    );
    expect(register(w, () => w.read('/mnt/a'))).toBe('same');
  });
});

describe('a digest that cannot be had', () => {
  it.each(['ima_calc_file_hash', 'ima_collect_measurement'] as const)(
    '%s: neither measured nor passed',
    (site) => {
      const w = world([MEASURE, APPRAISE]);
      w.setLabel('/mnt/a', hashLabel('one'));
      w.fails(site);
      expect(w.read('/mnt/a')).toBe('EACCES');
      expect(w.names).toEqual(['boot_aggregate']);
      expect(lastAudit(w)).toBe('1800 op=collect_data cause=failed comm="init" name="a" res=0 errno=0');
      expect(w.read('/mnt/a')).toBe(0);
      expect(w.names).toEqual(['boot_aggregate', '/mnt/a']);
    },
  );
});

describe('other allocations', () => {
  it('a label that cannot be read is no label and no pass', () => {
    const w = world([APPRAISE]);
    w.setLabel('/mnt/a', hashLabel('one'));
    w.fails('ima_read_xattr');
    expect(w.read('/mnt/a')).toBe('EACCES');
    expect(lastAudit(w)).toBe('1800 op=appraise_data cause=unknown comm="init" name="/mnt/a" res=0 errno=0');
  });

  it('without a record of the inode appraisal refuses and measuring is left out', () => {
    const measured = world([MEASURE]);
    measured.fails('ima_inode_get');
    expect([measured.read('/mnt/a'), measured.names]).toEqual([0, ['boot_aggregate']]);
    expect(measured.reasons).toContain('ima.no_record');
    const appraised = world([APPRAISE]);
    appraised.setLabel('/mnt/a', hashLabel('one'));
    appraised.fails('ima_inode_get');
    expect([appraised.read('/mnt/a'), appraised.read('/mnt/a')]).toEqual(['EACCES', 0]);
    expect(appraised.causes()).toEqual([]);
  });

  it('an audit rule without memory writes nothing, and writes it the next time', () => {
    const w = world([`audit func=FILE_CHECK ${HERE}`]);
    w.fails('ima_audit_measurement');
    const records = (): number => w.auditBodies().filter((b) => b.startsWith('1805')).length;
    w.read('/mnt/a');
    expect(records()).toBe(0);
    w.read('/mnt/a');
    expect(records()).toBe(1);
  });

  it('a rule without memory drops the upload', () => {
    const w = new World();
    w.fails('ima_parse_add_rule', 2);
    expect(w.upload(`${MEASURE}\n${APPRAISE}\n`).err).toBe('ENOMEM');
    expect(w.auditBodies().slice(-2)[0]).toMatch(/^1802 .* op=update_policy cause=-ENOMEM comm="init" res=0/);
    expect(w.text('/sec/policy')).toBe('');
  });

  it('a key that cannot be queued is measured at once, or not at all', () => {
    const w = new World();
    w.fails('ima_alloc_key_entry');
    w.ima.keyLinked(w.task(), '.ima', latin1('one'));
    w.ima.keyLinked(w.task(), '.ima', latin1('two'));
    expect(lastAudit(w)).toBe('1804 op=measuring_key cause=ENOMEM comm="init" name=".ima" res=0 errno=-12');
    w.policy('measure func=KEY_CHECK');
    expect(w.list.slice(1).map((l) => l.split(' ').at(-1))).toEqual(['74776f']);
  });
});

describe('the declared functions', () => {
  it('count calls: the n-th, so many times', () => {
    const w = world([`audit func=FILE_CHECK mask=MAY_READ ${HERE}`]);
    for (const name of ['b', 'c', 'd', 'e']) w.write(`/mnt/${name}`, name);
    w.fails('ima_audit_measurement', 2, 2);
    for (const name of ['a', 'b', 'c', 'd', 'e']) w.read(`/mnt/${name}`);
    const seen = w.auditBodies().flatMap((b) => /^1805 file="([^"]*)"/.exec(b)?.[1] ?? []);
    expect(seen).toEqual(['/mnt/a', '/mnt/d', '/mnt/e']);
    expect(w.faults.state).toEqual([]);
  });
});
