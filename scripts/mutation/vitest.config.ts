// The tests of one room, as scripts/mutation/mutation.ts chooses it.

import { defineConfig } from 'vitest/config';
import { ROOMS } from './rooms.ts';

const room = ROOMS[process.env['KISIM_ROOM'] ?? 'ima'];
if (room === undefined) throw new Error('KISIM_ROOM names no room of scripts/mutation/rooms.ts');

export default defineConfig({
  test: { include: [...room.tests], testTimeout: 60_000 },
});
