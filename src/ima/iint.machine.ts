// Life of an inode's entry in the integrity cache: what was done for it and stays valid, and the marks that
// hooks leave for the next access. Each region is one bit of `flags` or `atomicFlags`; bits that rules put
// there (what is asked for) are data of a decision and not part of the machine, except that a change of
// attributes forgets them.

import { setup } from 'xstate';
import * as C from './constants.ts';

export const IINT_EVENTS = [
  'COLLECTED',
  'STORED',
  'AUDITED',
  'HASHED',
  'PASS_FILE',
  'PASS_MMAP',
  'PASS_BPRM',
  'PASS_READ',
  'PASS_CREDS',
  'NEW_FILE',
  'SIGNED_SEEN',
  'HASH_SEEN',
  'WRITER_APPRAISED',
  'MEASURED_READER',
  'TOMTOU',
  'OPEN_WRITERS',
  'SETATTR',
  'SETATTR_OUT_OF_POLICY',
  'LABEL_SIGNED',
  'LABEL_HASHED',
  'LABEL_TOUCHED',
  'CHANGE_ATTR_SEEN',
  'CHANGE_ATTR_SEEN_NEW_FILE',
  'CHANGE_XATTR_SEEN',
  'RESET',
  'METADATA_CHANGED',
  'LAST_WRITER',
  'LAST_WRITER_CHANGED',
] as const;
export type IintEvent = (typeof IINT_EVENTS)[number];

/** Everything that was done is void: the content may be another one. */
const DONE_RESET: readonly IintEvent[] = ['RESET', 'CHANGE_XATTR_SEEN', 'LAST_WRITER_CHANGED'];
/** Besides, what was appraised. */
const APPRAISED_RESET: readonly IintEvent[] = [
  ...DONE_RESET,
  'CHANGE_ATTR_SEEN',
  'CHANGE_ATTR_SEEN_NEW_FILE',
  'METADATA_CHANGED',
];

const targets = (events: readonly IintEvent[], to: 'yes' | 'no') =>
  Object.fromEntries(events.map((event) => [event, to]));

/** A region of one bit: the events that set it and those that clear it. */
function bit(set: readonly IintEvent[], clear: readonly IintEvent[]) {
  return {
    initial: 'no',
    states: { no: { on: targets(set, 'yes') }, yes: { on: targets(clear, 'no') } },
  } as const;
}

export const iintMachine = setup({ types: { events: {} as { type: IintEvent } } }).createMachine({
  id: 'imaIint',
  type: 'parallel',
  states: {
    collected: bit(['COLLECTED'], DONE_RESET),
    measured: bit(['STORED'], DONE_RESET),
    audited: bit(['AUDITED'], DONE_RESET),
    hashed: bit(['HASHED'], DONE_RESET),
    appraised: bit(['PASS_FILE', 'PASS_MMAP', 'PASS_BPRM', 'PASS_READ', 'PASS_CREDS'], APPRAISED_RESET),
    fileAppraised: bit(['PASS_FILE'], APPRAISED_RESET),
    mmapAppraised: bit(['PASS_MMAP'], APPRAISED_RESET),
    bprmAppraised: bit(['PASS_BPRM'], APPRAISED_RESET),
    readAppraised: bit(['PASS_READ'], APPRAISED_RESET),
    credsAppraised: bit(['PASS_CREDS'], APPRAISED_RESET),
    newFile: bit(['NEW_FILE'], ['LAST_WRITER_CHANGED', 'CHANGE_ATTR_SEEN_NEW_FILE']),
    changeXattr: bit(['LABEL_SIGNED', 'LABEL_HASHED', 'LABEL_TOUCHED'], ['CHANGE_XATTR_SEEN']),
    changeAttr: bit(['SETATTR', 'SETATTR_OUT_OF_POLICY'], ['CHANGE_ATTR_SEEN', 'CHANGE_ATTR_SEEN_NEW_FILE']),
    updateXattr: bit(
      ['HASHED', 'WRITER_APPRAISED'],
      ['LAST_WRITER', 'LAST_WRITER_CHANGED', 'SETATTR_OUT_OF_POLICY'],
    ),
    digsig: bit(['SIGNED_SEEN', 'LABEL_SIGNED'], ['HASH_SEEN', 'LABEL_HASHED']),
    mayEmitTomtou: bit(['MEASURED_READER'], ['TOMTOU']),
    emittedOpenWriters: bit(['OPEN_WRITERS'], ['LAST_WRITER', 'LAST_WRITER_CHANGED']),
  },
});

export type IintRegion = keyof typeof REGION_BITS;

/** Which bit a region is. */
export const REGION_BITS = {
  collected: { word: 'flags', bit: C.IMA_COLLECTED },
  measured: { word: 'flags', bit: C.IMA_MEASURED },
  audited: { word: 'flags', bit: C.IMA_AUDITED },
  hashed: { word: 'flags', bit: C.IMA_HASHED },
  appraised: { word: 'flags', bit: C.IMA_APPRAISED },
  fileAppraised: { word: 'flags', bit: C.IMA_FILE_APPRAISED },
  mmapAppraised: { word: 'flags', bit: C.IMA_MMAP_APPRAISED },
  bprmAppraised: { word: 'flags', bit: C.IMA_BPRM_APPRAISED },
  readAppraised: { word: 'flags', bit: C.IMA_READ_APPRAISED },
  credsAppraised: { word: 'flags', bit: C.IMA_CREDS_APPRAISED },
  newFile: { word: 'flags', bit: C.IMA_NEW_FILE },
  changeXattr: { word: 'atomicFlags', bit: C.IMA_CHANGE_XATTR },
  changeAttr: { word: 'atomicFlags', bit: C.IMA_CHANGE_ATTR },
  updateXattr: { word: 'atomicFlags', bit: C.IMA_UPDATE_XATTR },
  digsig: { word: 'atomicFlags', bit: C.IMA_DIGSIG },
  mayEmitTomtou: { word: 'atomicFlags', bit: C.IMA_MAY_EMIT_TOMTOU },
  emittedOpenWriters: { word: 'atomicFlags', bit: C.IMA_EMITTED_OPENWRITERS },
} as const;

export const IINT_REGIONS = Object.keys(REGION_BITS) as readonly IintRegion[];

/** What an event does to the two words. */
export interface IintStep {
  readonly setFlags: number;
  readonly clearFlags: number;
  readonly setAtomic: number;
  readonly clearAtomic: number;
}

/** Where an event leads from one state of a region: read from the machine's own definition. */
function leads(region: IintRegion, from: 'yes' | 'no', event: IintEvent): string {
  const found = iintMachine.root.states[region]?.states[from]?.transitions.get(event)?.[0]?.target?.[0];
  return found?.key ?? from;
}

/** Flags that rules set and a change of attributes takes away again. */
const APPRAISE_RULE_BITS = C.IMA_APPRAISE | C.IMA_APPRAISE_SUBMASK | C.IMA_NONACTION_RULE_FLAGS;

/**
 * The table that the access path runs on: the regions do not look at each other, so each event is a pair of
 * masks.
 */
export function deriveSteps(): Readonly<Record<IintEvent, IintStep>> {
  const steps = {} as Record<IintEvent, IintStep>;
  for (const event of IINT_EVENTS) {
    const set = { flags: 0, atomicFlags: 0 };
    const clear = { flags: 0, atomicFlags: 0 };
    for (const region of IINT_REGIONS) {
      const { word, bit: mask } = REGION_BITS[region];
      if (leads(region, 'no', event) === 'yes') set[word] |= mask;
      if (leads(region, 'yes', event) === 'no') clear[word] |= mask;
    }
    const forgets = event === 'CHANGE_ATTR_SEEN' || event === 'CHANGE_ATTR_SEEN_NEW_FILE';
    steps[event] = {
      setFlags: set.flags,
      clearFlags: clear.flags | (forgets ? APPRAISE_RULE_BITS : 0),
      setAtomic: set.atomicFlags,
      clearAtomic: clear.atomicFlags,
    };
  }
  return steps;
}
