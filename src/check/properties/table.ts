// All promises that come with the checker, by name.

import type { Property } from '../property.ts';
import { measuredBeforeUse, noStaleVerdict, onlySignedCodeRuns } from './code.ts';

export const PROPERTIES: readonly Property<never>[] = [
  onlySignedCodeRuns,
  measuredBeforeUse,
  noStaleVerdict,
] as readonly Property<unknown>[] as readonly Property<never>[];
