// Public entry point `kisim/ipe`: the policy language, the life of policies and the evaluation of events.

export type { IpeEnv, SecurityfsNodes } from './env.ts';
export { Ipe, type IpeOptions, newIpe } from './ipe.ts';
export { ipePolicyMachine } from './ipe-policy.machine.ts';
export { type IpeParseFailure, type IpeParseResult, ipeParsePolicy } from './parser.ts';
export { IPE_PROPERTIES, type IpeEvalContext, type IpeProperty } from './properties.ts';
export { ipePseudo } from './securityfs.ts';
export type * from './types.ts';
