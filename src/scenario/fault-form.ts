// How a scenario declares that a call of the kernel fails: by the function, which of its calls, how many, and
// with what a device answers.

import * as z from 'zod';
import type { ArmedFault } from '../base/faults.ts';
import { IMA_FAULT_SITES, type ImaFaultSite } from '../ima/faults.ts';

const SITES = Object.keys(IMA_FAULT_SITES) as [ImaFaultSite, ...ImaFaultSite[]];
const TEXTS = Object.entries(IMA_FAULT_SITES).map(([site, { text }]) => `${site}: ${text}`);

/** Members of a declared fault, of the machine and of the step `fault` alike. */
export const FAULT_ARGS = {
  at: z.enum(SITES).describe(`Function of the kernel. ${TEXTS.join('; ')}.`),
  nth: z.int().min(1).optional().describe('Which of its calls fails first, counted from now; default 1.'),
  times: z.int().min(1).optional().describe('How many calls fail, one after the other; default 1.'),
  rc: z.int().min(1).optional().describe('For the TPM: its response code; default 257, TPM_RC_FAILURE.'),
};

const form = z.strictObject(FAULT_ARGS);
export type FaultForm = z.infer<typeof form>;

/** What the machine takes. */
export function armedFault({ at, nth, times, rc }: FaultForm): ArmedFault {
  return { site: at, skip: (nth ?? 1) - 1, times: times ?? 1, rc: rc ?? null };
}
