// The one trace of a machine: events in order, each with its cause. Rooms append through a cursor; the list
// itself is a persistent value, so a fork shares everything up to the fork.

import { type AppendList, append, emptyList } from './list.ts';

/** Plain data that JSON can hold; bytes are hex strings, 64-bit numbers decimal strings. */
export type EventData = { readonly [key: string]: EventValue | undefined };
export type EventValue = null | boolean | number | string | readonly EventValue[] | EventData;

export interface TraceEvent {
  /** Position in the trace, from 0. */
  readonly id: number;
  /** Event that this one follows from; null for a step of the scenario or a stage of the boot. */
  readonly cause: number | null;
  /** Dotted kind, `room.what`: `syscall.open`, `hook.file_post_open`, `ima.store`, `tpm.command`. */
  readonly kind: string;
  /** Code from the reason registry, where a branch denied, measured, skipped or invalidated something. */
  readonly reason?: string;
  readonly data: EventData;
}

export interface TraceState {
  readonly events: AppendList<TraceEvent>;
  /** Open causes, innermost last. */
  readonly causes: readonly number[];
}

export function newTrace(): TraceState {
  return { events: emptyList(), causes: [] };
}

const NO_DATA: EventData = Object.freeze({});

/** Cursor that appends to the trace. */
export class Trace {
  state: TraceState;

  constructor(state: TraceState) {
    this.state = state;
  }

  /** Appends an event caused by the innermost open one; returns its id. */
  emit(kind: string, data: EventData = NO_DATA, reason?: string): number {
    const { events, causes } = this.state;
    const id = events.length;
    const cause = causes.length === 0 ? null : (causes[causes.length - 1] as number);
    const event: TraceEvent =
      reason === undefined ? { id, cause, kind, data } : { id, cause, kind, reason, data };
    this.state = { events: append(events, event), causes };
    return id;
  }

  /** Appends an event and makes it the cause of what follows, until `close`. */
  open(kind: string, data: EventData = NO_DATA, reason?: string): number {
    const id = this.emit(kind, data, reason);
    const { events, causes } = this.state;
    this.state = { events, causes: [...causes, id] };
    return id;
  }

  /** Ends what `open` began; also ends anything inside it that was left open. */
  close(id: number): void {
    const at = this.state.causes.lastIndexOf(id);
    if (at >= 0) this.state = { events: this.state.events, causes: this.state.causes.slice(0, at) };
  }
}
