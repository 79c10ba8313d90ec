// All promises that come with the checker, by name.

import type { Property } from '../property.ts';
import { measuredBeforeUse, noStaleVerdict, onlySignedCodeRuns } from './code.ts';
import { attestationSound, listReplaysToPcr } from './list.ts';
import { labelsHold, noRollback, policyNeverWeakens, workloadLives } from './state.ts';

/** Each remembers things of its own, which only it looks at. */
export const PROPERTIES: readonly Property<unknown>[] = [
  onlySignedCodeRuns,
  measuredBeforeUse,
  noStaleVerdict,
  listReplaysToPcr,
  attestationSound,
  labelsHold,
  policyNeverWeakens,
  noRollback,
  workloadLives,
] as unknown as readonly Property<unknown>[];
