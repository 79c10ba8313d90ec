import { describe, expect, it } from 'vitest';
import '../../../src/crypto/auto.ts';
import { concat, filled, toHex, utf8 } from '../../../src/base/bytes.ts';
import { crypto } from '../../../src/crypto/provider.ts';
import {
  type BootEvent,
  decodeEventLog,
  EVENT_TYPES,
  encodeEventLog,
  eventTypeNumber,
  LOG_ALGS,
  replayEventLog,
} from '../../../src/kernel/eventlog.ts';

const ALGS = LOG_ALGS.filter((a) => a.name === 'sha1' || a.name === 'sha256');

function event(pcr: number, type: number, data: Uint8Array): BootEvent {
  return {
    pcr,
    type,
    digests: ALGS.map((a) => ({ algId: a.algId, digest: crypto().hash(a.name, data) })),
    event: data,
  };
}

const separator = event(7, EVENT_TYPES.EV_SEPARATOR, filled(4, 0));
const action = event(4, EVENT_TYPES.EV_EFI_ACTION, utf8('boot'));

describe('TCG2 event log', () => {
  it('reads back what it wrote', () => {
    const log = decodeEventLog(encodeEventLog(ALGS, [separator, action]));
    expect(log.problem).toBeNull();
    expect(log.legacy).toBe(false);
    expect(log.algorithms).toEqual(ALGS.map(({ algId, size }) => ({ algId, size })));
    expect(log.events).toEqual([separator, action]);
  });

  it('replays to the value of a register', () => {
    const log = decodeEventLog(encodeEventLog(ALGS, [separator]));
    const hash = (d: Uint8Array): Uint8Array => crypto().hash('sha256', d);
    const pcrs = replayEventLog(log, 0x0b, hash);
    expect([...pcrs.keys()]).toEqual([7]);
    expect(toHex(pcrs.get(7) ?? filled(0, 0))).toBe(toHex(hash(concat(filled(32, 0), hash(filled(4, 0))))));
  });

  it('starts PCR 0 with the locality of TPM2_Startup and skips EV_NO_ACTION', () => {
    const note = concat(utf8('StartupLocality\0'), Uint8Array.of(3));
    const first: BootEvent = { ...event(0, EVENT_TYPES.EV_NO_ACTION, note) };
    const log = decodeEventLog(
      encodeEventLog(ALGS, [first, event(0, EVENT_TYPES.EV_SEPARATOR, filled(4, 0))]),
    );
    expect(log.startupLocality).toBe(3);
    const hash = (d: Uint8Array): Uint8Array => crypto().hash('sha1', d);
    const start = filled(20, 0);
    start[19] = 3;
    expect(replayEventLog(log, 4, hash).get(0)).toEqual(hash(concat(start, hash(filled(4, 0)))));
  });

  it('stops at a cut record and says where', () => {
    const bytes = encodeEventLog(ALGS, [separator, action]);
    const log = decodeEventLog(bytes.subarray(0, bytes.length - 1));
    expect(log.events).toEqual([separator]);
    expect(log.problem).toMatch(/cut off \(offset \d+\)/);
    expect(decodeEventLog(new Uint8Array(10)).problem).not.toBeNull();
  });

  it('takes unused buffer at the end as the end', () => {
    const log = decodeEventLog(concat(encodeEventLog(ALGS, [separator]), filled(64, 0xff)));
    expect([log.problem, log.events.length]).toEqual([null, 1]);
  });

  it('knows event types by name and by number', () => {
    expect(eventTypeNumber('EV_SEPARATOR')).toBe(4);
    expect(eventTypeNumber('0x80000003')).toBe(0x80000003);
    expect(eventTypeNumber('EV_NONSENSE')).toBeNull();
  });
});
