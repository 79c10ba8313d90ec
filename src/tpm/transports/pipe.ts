// The transport of the `cmd` TCTI: bare frames on standard input, answers on standard output. The parent ends
// us with a signal, so the state is kept after each command and answers are written synchronously.

import { writeSync } from 'node:fs';
import type { Tpm } from '../tpm.ts';
import { FrameReader } from './framing.ts';

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if ((error as { code?: string }).code !== 'EAGAIN') throw error;
    }
  }
}

/** Serves frames from a stream until it ends. */
export function servePipe(
  tpm: Tpm,
  input: NodeJS.ReadableStream,
  outputFd: number,
  changed: () => void,
): void {
  const frames = new FrameReader();
  const answer = (frame: Uint8Array): void => {
    const response = tpm.execute(frame);
    changed();
    writeAll(outputFd, response);
  };
  input.on('data', (chunk: Buffer) => {
    for (const frame of frames.push(chunk)) answer(frame);
  });
  input.on('end', () => {
    const rest = frames.flush();
    if (rest.length > 0) answer(rest);
  });
}
