// What the life of policies and each decision leave behind: events of the trace, each with its data and reason, and the
// records, word by word.

import { describe, expect, it } from 'vitest';
import { sha256 } from '../../support.ts';
import { toArray } from '../../../src/base/list.ts';
import { TASK, World } from './world.ts';

const it2 = (w: World) => toArray(w.trace.state.events).map(({ kind, reason, data }) => [kind, data, reason ?? null]);
