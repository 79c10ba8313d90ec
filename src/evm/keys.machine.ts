// The keys that EVM has, as a state machine over evm_initialized: what one write to the node may add, that
// the HMAC key ends metadata writes and the set-up, and that nothing follows a complete set-up. The word is
// the state; who may write, and whether the key is found, is decided in securityfs.ts before an event is
// sent.

import { setup } from 'xstate';
import { deriveTable, step } from '../base/table.ts';
import { EVM_ALLOW_METADATA_WRITES, EVM_INIT_HMAC, EVM_INIT_X509, EVM_SETUP_COMPLETE } from './state.ts';

export type KeyState =
  | 'none'
  | 'x509'
  | 'writes'
  | 'x509_writes'
  | 'closed'
  | 'closed_x509'
  | 'closed_writes'
  | 'closed_x509_writes'
  | 'hmac'
  | 'hmac_x509';
/** BOOT_X509: the kernel loaded a certificate itself, which asks nobody. */
export type KeyEvent = 'X509' | 'METADATA_WRITES' | 'HMAC' | 'SETUP_COMPLETE' | 'BOOT_X509';

/** In the order in which the bits of one write take effect. */
export const KEY_EVENTS: readonly (readonly [event: KeyEvent, bit: number])[] = [
  ['X509', EVM_INIT_X509],
  ['METADATA_WRITES', EVM_ALLOW_METADATA_WRITES],
  ['HMAC', EVM_INIT_HMAC],
  ['SETUP_COMPLETE', EVM_SETUP_COMPLETE],
];

/** evm_initialized of a state. */
export const KEY_WORD: Readonly<Record<KeyState, number>> = {
  none: 0,
  x509: EVM_INIT_X509,
  writes: EVM_ALLOW_METADATA_WRITES,
  x509_writes: EVM_INIT_X509 | EVM_ALLOW_METADATA_WRITES,
  closed: EVM_SETUP_COMPLETE,
  closed_x509: (EVM_SETUP_COMPLETE | EVM_INIT_X509) >>> 0,
  closed_writes: (EVM_SETUP_COMPLETE | EVM_ALLOW_METADATA_WRITES) >>> 0,
  closed_x509_writes: (EVM_SETUP_COMPLETE | EVM_INIT_X509 | EVM_ALLOW_METADATA_WRITES) >>> 0,
  hmac: (EVM_SETUP_COMPLETE | EVM_INIT_HMAC) >>> 0,
  hmac_x509: (EVM_SETUP_COMPLETE | EVM_INIT_HMAC | EVM_INIT_X509) >>> 0,
};

/** @kernel security/integrity/evm/evm_secfs.c evm_write_key() */
export const keyMachine = setup({ types: { events: {} as { type: KeyEvent } } }).createMachine({
  id: 'evmKeys',
  initial: 'none',
  states: {
    none: {
      on: {
        X509: 'x509',
        METADATA_WRITES: 'writes',
        HMAC: 'hmac',
        SETUP_COMPLETE: 'closed',
        BOOT_X509: 'x509',
      },
    },
    x509: { on: { METADATA_WRITES: 'x509_writes', HMAC: 'hmac_x509', SETUP_COMPLETE: 'closed_x509' } },
    writes: {
      on: {
        X509: 'x509_writes',
        HMAC: 'hmac',
        SETUP_COMPLETE: 'closed_writes',
        BOOT_X509: 'x509_writes',
      },
    },
    x509_writes: { on: { HMAC: 'hmac_x509', SETUP_COMPLETE: 'closed_x509_writes' } },
    /** The set-up is complete without an HMAC key: none can come, HMACs are never made. */
    closed: { on: { BOOT_X509: 'closed_x509' } },
    closed_x509: {},
    closed_writes: { on: { BOOT_X509: 'closed_x509_writes' } },
    closed_x509_writes: {},
    /** The HMAC key completes the set-up. */
    hmac: { on: { BOOT_X509: 'hmac_x509' } },
    hmac_x509: {},
  },
});

export const keyTable = deriveTable<KeyState, KeyEvent>(keyMachine, [
  ...KEY_EVENTS.map(([event]) => event),
  'BOOT_X509',
]);

const STATE_OF: ReadonlyMap<number, KeyState> = new Map(
  (Object.keys(KEY_WORD) as KeyState[]).map((name) => [KEY_WORD[name], name]),
);

/** The state that a word stands for. */
export function keyState(word: number): KeyState {
  return STATE_OF.get(word) ?? 'none';
}

/**
 * evm_initialized after a certificate was loaded at boot.
 * @kernel security/integrity/evm/evm_main.c evm_load_x509()
 */
export function withBootCertificate(word: number): number {
  return KEY_WORD[step(keyTable, keyState(word), 'BOOT_X509')];
}

/** evm_initialized after the bits of one write. */
export function withKeyBits(word: number, bits: number): number {
  let state = keyState(word);
  for (const [event, bit] of KEY_EVENTS) if ((bits & bit) !== 0) state = step(keyTable, state, event);
  return KEY_WORD[state];
}
