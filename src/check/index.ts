// Public entry point of the checker: subjects from scenarios or policies, promises and powers that come with
// it or are one's own, both engines, reports.

import { UnknownName } from './names.ts';

export {
  type Action,
  type ActionKind,
  kindOf,
  macroKind,
  type Power,
  type StepForm,
  wholeKind,
} from './action.ts';
export {
  type CampaignOptions,
  type CheckReport,
  campaign,
  type Engine,
  type FoundReport,
  type Shard,
  verdictLine,
} from './campaign.ts';
export { MACHINES, type MachineName, machineText, type PolicyText, policyKind } from './machines.ts';
export { powersNamed, propertiesNamed } from './names.ts';
export type { Moment, Transition } from './node.ts';
export { POWERS } from './powers/table.ts';
export { clauseProperties } from './properties/clauses.ts';
export { PROPERTIES } from './properties/table.ts';
export { type Finding, type Property, property } from './property.ts';
export { checkJunit, mergeReports, readReport } from './report.ts';
export { loadSubject, type Subject, type SubjectResult, subjectOf } from './subject.ts';
export { type CodeUse, usesOf } from './uses.ts';
export { type FileView, View } from './view.ts';
export { UnknownName };
