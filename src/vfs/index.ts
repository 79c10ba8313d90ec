// Public entry point of the VFS room.

export * from './api.ts';
export * from './constants.ts';
export { major, makedev, minor } from './device.ts';
export type { FsBehaviour } from './filesystems.ts';
export type { Iattr, KernelLoadId, KernelReadId, SecurityHooks } from './hooks.ts';
export * from './types.ts';
export { newVfs, Vfs } from './vfs.ts';
