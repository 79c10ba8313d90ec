// The kernel acting for itself: what reads certificates at boot, measures critical data and shows
// securityfs to exporters.

import type { VfsTask } from '../vfs/types.ts';
import type { Kernel } from './kernel.ts';
import { kernelTask } from './state.ts';

/** Task 1 as it is now, or swapper/0 before it exists. @kernel init/init_task.c init_task */
export function bootTask(r: { readonly kernel: Kernel }): VfsTask {
  return r.kernel.task(1) ?? kernelTask(r.kernel.state.root ?? { mount: 0, dentry: 0 }, 0);
}
