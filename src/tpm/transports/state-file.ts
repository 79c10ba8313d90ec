// A TPM's state in a file: JSON, written beside and renamed, so that a reader sees the old or the new state
// and nothing between. A file that is no state is told apart from one that does not exist.

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { decodeState, encodeState, type Json } from '../../base/json.ts';
import type { TpmState } from '../state.ts';

const FORMAT = 'kisim-tpm';
const VERSION = 1;

export type LoadedState =
  | { readonly kind: 'none' }
  | { readonly kind: 'state'; readonly state: TpmState }
  | { readonly kind: 'bad'; readonly why: string };

/** Members that any state has; a file without them is not one of ours. */
const MEMBERS: readonly string[] = ['config', 'life', 'drbg', 'nv', 'clock', 'reset', 'clear', 'pcr', 'ram'];

export function loadStateFile(path: string): LoadedState {
  return existsSync(path) ? parseState(readFileSync(path, 'utf8')) : { kind: 'none' };
}

/** The state that a text of `stateText` holds. */
export function parseState(text: string): Exclude<LoadedState, { kind: 'none' }> {
  try {
    const json = JSON.parse(text) as { [key: string]: Json };
    if (json.format !== FORMAT) return { kind: 'bad', why: 'it is no TPM state file' };
    if (json.version !== VERSION)
      return { kind: 'bad', why: `it has version ${JSON.stringify(json.version)}` };
    const state = decodeState(json.state ?? null) as TpmState | null;
    const missing = MEMBERS.find((m) => state === null || typeof state !== 'object' || !(m in state));
    if (state === null || missing !== undefined) return { kind: 'bad', why: `member ${missing} is missing` };
    return { kind: 'state', state };
  } catch (error) {
    return { kind: 'bad', why: error instanceof Error ? error.message : String(error) };
  }
}

export function stateText(state: TpmState): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, state: encodeState(state) })}\n`;
}

export function saveStateFile(path: string, state: TpmState): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, stateText(state), { mode: 0o600 });
  renameSync(temporary, path);
}
