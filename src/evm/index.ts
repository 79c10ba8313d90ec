// Public entry point `kisim/evm`: the layer itself, the bytes that it hashes, and labels made from outside.

export { EVM_DEFAULT_XATTRS, type EvmApi, type EvmHooks } from './api.ts';
export { calcHmacOrHash, type DigestRequest, type EvmInode, type MiscForm, miscBytes } from './digest.ts';
export { Evm, type EvmEnv } from './evm.ts';
export { KEY_EVENTS, KEY_WORD, type KeyEvent, type KeyState, keyMachine } from './keys.machine.ts';
export { evmPseudo } from './securityfs.ts';
export { type EvmMetadata, evmHmac, evmMessage, evmSign } from './sign.ts';
export * from './state.ts';
