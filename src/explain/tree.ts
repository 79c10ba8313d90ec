// The trace of one step as a tree (each event below the one that caused it), and single events as
// sentences. Pure: events in, words out.

import { reasonOf } from '../base/reasons.ts';
import type { EventValue, TraceEvent } from '../base/trace.ts';

export interface EventNode {
  readonly event: TraceEvent;
  readonly children: readonly EventNode[];
}

/** Events whose cause is outside of the stretch become roots. */
export function eventTree(events: readonly TraceEvent[]): readonly EventNode[] {
  const children = new Map<number, TraceEvent[]>();
  const ids = new Set(events.map((e) => e.id));
  const roots: TraceEvent[] = [];
  for (const event of events) {
    if (event.cause === null || !ids.has(event.cause)) roots.push(event);
    else children.set(event.cause, [...(children.get(event.cause) ?? []), event]);
  }
  const node = (event: TraceEvent): EventNode => ({
    event,
    children: (children.get(event.id) ?? []).map(node),
  });
  return roots.map(node);
}

/** Events from the root to the one with that id. */
export function causesOf(events: ReadonlyMap<number, TraceEvent>, id: number): readonly TraceEvent[] {
  const chain: TraceEvent[] = [];
  for (let at: number | null = id; at !== null; ) {
    const event = events.get(at);
    if (event === undefined) break;
    chain.unshift(event);
    at = event.cause;
  }
  return chain;
}

const DIGEST = /^(?:[0-9a-f]{2}){12,}$/;

/** A value in a few characters; long hexadecimal texts are cut to 8 digits unless all is asked for. */
export function valueText(value: EventValue | undefined, full = false): string {
  if (value === undefined || value === null) return 'none';
  if (typeof value === 'string') {
    if (DIGEST.test(value) && !full) return `${value.slice(0, 8)}..`;
    return value;
  }
  if (Array.isArray(value)) return `[${value.map((v) => valueText(v as EventValue, full)).join(', ')}]`;
  if (typeof value === 'object')
    return Object.entries(value)
      .map(([k, v]) => `${k}=${valueText(v as EventValue, full)}`)
      .join(' ');
  return String(value);
}

/** Members that say nothing to a reader: keys of tables, and what the sentence has said already. */
const SILENT: ReadonlySet<string> = new Set(['inode', 'file', 'key', 'request', 'response']);

/** `key=value` words of an event's data. */
export function dataText(event: TraceEvent, full = false): string {
  return Object.entries(event.data)
    .filter(([name, value]) => value !== undefined && (full || !SILENT.has(name)))
    .map(([name, value]) => `${name}=${valueText(value, full)}`)
    .join(' ');
}

/** The sentence of the event's reason with its data filled in; undefined when it has no reason. */
export function reasonSentence(event: TraceEvent): string | undefined {
  if (event.reason === undefined) return undefined;
  const text = reasonOf(event.reason)?.text ?? event.reason;
  return text.replace(/\{(\w+)\}/g, (_, name: string) => valueText(event.data[name]));
}

/** Kernel function or section that the reason cites. */
export function reasonSource(event: TraceEvent): string | undefined {
  return event.reason === undefined ? undefined : reasonOf(event.reason)?.source;
}

/** One line about an event. */
export function eventLine(event: TraceEvent, full = false): string {
  const sentence = reasonSentence(event);
  const data = dataText(event, full);
  const said = sentence === undefined ? '' : `: ${sentence}`;
  return `${event.kind}${said}${data === '' ? '' : `  (${data})`}`;
}
