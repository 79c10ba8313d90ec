// Loads every room, so that the registry of reason codes is complete: expectations name codes, and the
// glossary lists them.

import '../kernel/machine.ts';
import './steps/table.ts';
import { allReasons } from '../base/reasons.ts';

/** Number of known codes. */
export function reasonCount(): number {
  return allReasons().length;
}
