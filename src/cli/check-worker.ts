// One thread of a campaign: loads the subject itself, does its shard, and sends the report.

import { parentPort, workerData } from 'node:worker_threads';
import '../crypto/auto.ts';
import { campaign } from '../check/campaign.ts';
import { loadSubject } from '../check/subject.ts';
import { campaignFor, subjectText } from './check.ts';
import type { ShardNews, ShardOrder } from './check-workers.ts';
import { scenarioFileOptions } from './scenario-file.ts';

const order = workerData as ShardOrder;
const { file, text } = subjectText(order.files, order.options.machine);
const loaded = loadSubject(file, text, scenarioFileOptions(file));
const send = (news: ShardNews): void => parentPort?.postMessage(news);

if (loaded.ok) {
  const { time } = order.options;
  const end = time === undefined ? Number.POSITIVE_INFINITY : Date.now() + time * 1000;
  const report = campaign(loaded.subject, {
    ...campaignFor(loaded.subject, order.options),
    shard: { index: order.index, of: order.of },
    stop: () => Date.now() >= end,
    progress: (line) => send({ progress: line }),
  });
  send({ report });
}
