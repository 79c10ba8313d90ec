// Steps that hand the kernel a buffer by ways that have no file: programs, filters, tables and policies of
// other parts of the kernel, and firmware that user space brings.

import * as z from 'zod';
import { BUFFER_CALLS, type BufferKind } from '../../kernel/buffer-calls.ts';
import { bytesOf, DATA, errName } from '../ops/types.ts';
import { defineStep } from './types.ts';

const kinds = Object.keys(BUFFER_CALLS) as [BufferKind, ...BufferKind[]];

const handBuffer = defineStep({
  name: 'hand_buffer',
  help: 'hands the kernel an eBPF program, a seccomp filter, an iptables table or a SELinux policy as a buffer',
  args: { kind: z.enum(kinds).describe('Which part of the kernel takes it.'), data: DATA.optional() },
  run: ({ actor }, args) => {
    const { sys } = actor();
    return {
      err: sys.handBuffer === undefined ? 'ENOSYS' : errName(sys.handBuffer(args.kind, bytesOf(args.data))),
    };
  },
});

const firmwareFallback = defineStep({
  name: 'firmware_fallback',
  help: 'a driver asks for firmware, finds no file and takes the bytes from this process through sysfs',
  args: { name: z.string().describe('Name of the firmware.'), data: DATA.optional() },
  run: ({ actor }, args) => {
    const got = actor().sys.firmwareFallback?.(args.name, bytesOf(args.data));
    if (got === undefined) return { err: 'ENOSYS' };
    if (!got.ok) return { err: got.errno };
    const { request, loading } = got.value;
    return { err: errName(request), ...(loading === 0 ? {} : { loading: errName(loading) }) };
  },
});

export const BUFFER_STEPS = [firmwareFallback, handBuffer];
