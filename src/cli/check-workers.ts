// A campaign on several threads of one machine: each thread does one shard, the reports are merged. A thread
// that finds something ends the others.

import { Worker } from 'node:worker_threads';
import type { CheckReport } from '../check/campaign.ts';
import { mergeReports } from '../check/report.ts';
import type { CheckOptions } from './check.ts';

/** What a thread is told. */
export interface ShardOrder {
  readonly files: readonly string[];
  readonly options: CheckOptions;
  readonly index: number;
  readonly of: number;
}

export type ShardNews = { readonly progress: string } | { readonly report: CheckReport };

/** Splits a search over threads. */
export async function searchWithWorkers(
  files: readonly string[],
  options: CheckOptions,
  progress: (line: string) => void,
): Promise<CheckReport> {
  const of = options.workers ?? 1;
  const workers: Worker[] = [];
  const lines: string[] = [];
  const one = (index: number): Promise<CheckReport | null> =>
    new Promise((resolve, reject) => {
      const order: ShardOrder = { files, options, index, of };
      const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
      const worker = new Worker(new URL(`./check-worker.${extension}`, import.meta.url), {
        workerData: order,
      });
      workers.push(worker);
      worker.on('message', (news: ShardNews) => {
        if ('report' in news) return resolve(news.report);
        lines[index] = news.progress;
        progress(lines.filter((l) => l !== undefined).join(' | '));
      });
      worker.on('error', reject);
      worker.on('exit', () => resolve(null));
    });
  const done = await Promise.all(
    Array.from({ length: of }, async (_, index) => {
      const report = await one(index);
      if (report?.found != null) for (const [i, w] of workers.entries()) if (i !== index) await w.terminate();
      return report;
    }),
  );
  for (const w of workers) await w.terminate();
  const reports = done.filter((r) => r !== null);
  const [first, ...others] = reports;
  if (first === undefined) throw new Error('no thread came to its end');
  return mergeReports([first, ...others]);
}
