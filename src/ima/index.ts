// Public entry point: the IMA of a simulated kernel, its policy language and its list formats.

export { newIma } from './boot.ts';
export * as constants from './constants.ts';
export type { ImaCursor, ImaEnv, ImaPlatform, LsmLabels } from './cursor.ts';
export { IINT_EVENTS, iintMachine } from './iint.machine.ts';
export { Ima } from './ima.ts';
export { type ImaLintOptions, lintImaPolicy } from './lint.ts';
export { policyMachine } from './policy.machine.ts';
export {
  activeRules,
  type Decision,
  type FailedCondition,
  type MatchSubject,
  whyNot,
} from './policy-match.ts';
export { funcNames, type ParseContext, type ParseOutcome, parseRule } from './policy-parse.ts';
export { showPolicy, showRule } from './policy-show.ts';
export { imaPseudo, imaSecurityfs, measurementList, type SecurityfsNode } from './securityfs.ts';
export {
  BUILTIN_TEMPLATES,
  checkTemplateFmt,
  FIELD_IDS,
  type FieldId,
  lookupTemplateDesc,
  templateFields,
  templateShownName,
} from './template.ts';
export { asciiEntry, binaryEntry, templateData, templateDigests } from './template-show.ts';
export type { Iint, ImaRule, ImaState, TemplateDesc, TemplateEntry } from './types.ts';
