// Public entry point `kisim/attest`: readers of the artefacts of real machines, and the verifier.

import '../crypto/auto.ts';

export { type Registers, replayBanks } from './eventlog.ts';
export { type EventLogText, eventLogYaml } from './eventlog-yaml.ts';
export { AsciiListReader } from './list-ascii.ts';
export { type BinaryForm, BinaryListReader } from './list-binary.ts';
export { policySchema, readPolicy } from './policy.ts';
export { type AttestPolicy, NO_POLICY } from './policy-rules.ts';
export {
  type AttestationKey,
  type Quote,
  readAttestationKey,
  readQuote,
  verifyQuoteSignature,
} from './quote.ts';
export type { AttestCode } from './reasons.ts';
export { type ListRecord, type Measured, measuredOf } from './record.ts';
export { readRegisters, readSysfsValue } from './registers.ts';
export { readTrustedKey, type TrustedKey } from './signature.ts';
export { readVisit, type Visit, visitJson } from './state.ts';
export { type Finding, type Place, type Unreadable, UnreadableError } from './verdict.ts';
export { type AttestReport, type Evidence, type ListPart, readList, verify } from './verify.ts';
export type { QuoteEvidence } from './verify-quote.ts';
