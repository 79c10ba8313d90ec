// Reason codes of the designs that take records off the measurement list.

import { defineReasons } from '../../base/reasons.ts';

export const EXPORT_REASON = defineReasons({
  'list_export.not_capable': {
    text: 'taking records off the measurement list needs CAP_SYS_ADMIN',
    source: 'proposal: ima: export the measurement list when needed, Karhunen, 2020-01-08',
  },
  'list_export.exported': {
    text: 'all records were written to a file and freed; the registers stay',
    source: 'proposal: ima: export the measurement list when needed, Karhunen, 2020-01-08',
  },
  'list_export.failed': {
    text: 'the file could not take all records, so the list keeps all of them',
    source: 'proposal: ima: export the measurement list when needed, Karhunen, 2020-01-08',
  },
  'list_trim.trimmed': {
    text: 'the first records of the list were deleted; nobody checked that they are stored elsewhere',
    source: 'proposal: Trim N entries of IMA event logs, Chen, 2025-12-02',
  },
  'list_trim.too_many': {
    text: 'there are fewer records than are to be deleted',
    source: 'proposal: Trim N entries of IMA event logs, Chen, 2025-12-02',
  },
  'list_staging.staged': {
    text: 'the list was moved aside; new records go to an empty one',
    source: 'ima: Add support for staging measurements with prompt, Sassu, 2026-06-05',
  },
  'list_staging.deleted': {
    text: 'the records that were moved aside are deleted',
    source: 'ima: Add support for staging measurements with prompt, Sassu, 2026-06-05',
  },
  'list_staging.busy': {
    text: 'another program holds a list node open, so nobody may change the list',
    source: 'ima: Mediate open/release method of the measurements list, Sassu, 2026-06-05',
  },
  'list_staging.staged_already': {
    text: 'records are staged already and must be deleted first',
    source: 'ima: Add support for staging measurements with prompt, Sassu, 2026-06-05',
  },
  'list_tmpfile.moved': {
    text: 'records moved into an anonymous file of the kernel',
    source: 'proposal: Goldstein in: ima: export the measurement list when needed, 2020-02-10',
  },
});
