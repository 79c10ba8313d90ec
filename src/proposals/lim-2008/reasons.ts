// Reason codes of IMA as it was posted in 2008, as a provider of an integrity service.

import { defineReasons } from '../../base/reasons.ts';

const POSTED = 'proposal: [RFC][Patch 5/5]integrity: IMA as an integrity service provider, Zohar, 2008-05-23';
const REVIEW =
  'review: Re: [RFC][Patch 5/5]integrity: IMA as an integrity service provider, Morton, 2008-05-28';

export const LIM_REASON = defineReasons({
  'lim.skipped_fs': {
    text: 'the file lies on a file system whose magic number is hard-coded; no rule is asked',
    source: REVIEW,
  },
  'lim.not_regular': { text: 'only regular files are measured', source: POSTED },
  'lim.not_in_policy': { text: 'no rule measures this access', source: POSTED },
  'lim.measured_before': {
    text: 'the file was measured and the detector sees no change since',
    source: POSTED,
  },
  'lim.changed': { text: 'the detector sees that the file changed since it was measured', source: POSTED },
  'lim.too_recent': {
    text: 'the time stamp is so young that a later write could have the same one: nothing is remembered',
    source: REVIEW,
  },
  'lim.stored': { text: 'the measurement is in the list and in the register', source: POSTED },
  'lim.duplicate': { text: 'the list has a measurement with this digest already', source: POSTED },
  'lim.no_memory': {
    text: 'memory for the record could not be had: store_measurement() returns nothing, so nobody hears of it',
    source: REVIEW,
  },
  'lim.violation': {
    text: 'reader and writer at once: zeros in the list, ones in the register',
    source: POSTED,
  },
  'lim.counter_wrapped': {
    text: 'the counter of violations is an int and went below zero',
    source: REVIEW,
  },
  'lim.policy_replaced': { text: 'every rule was good: the default rules are replaced', source: POSTED },
  'lim.policy_kept': { text: 'a rule was not understood: the rules in force stay', source: POSTED },
});
