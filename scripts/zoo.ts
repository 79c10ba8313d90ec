// `npm run zoo`: runs every design of the zoo and its twin, and writes the table into docs/check.md.

import { readFileSync, writeFileSync } from 'node:fs';
import { ZOO_MARKS, ZOO_PAGE, zooEntries, zooRow, zooTable } from './zoo-run.ts';

const rows = zooEntries().map((entry) => {
  const row = zooRow(entry);
  const { weak, repaired } = row;
  const good = weak.found !== null && repaired.found === null && repaired.complete;
  console.log(
    `${good ? 'ok  ' : 'BAD '} ${entry.name}: ${row.weakMs.toFixed(0)} ms, twin ${row.repairedMs.toFixed(0)} ms`,
  );
  return row;
});
const text = readFileSync(ZOO_PAGE, 'utf8');
const [from, to] = ZOO_MARKS.map((mark) => text.indexOf(mark));
if (from === undefined || to === undefined || from < 0 || to < from)
  throw new Error(`${ZOO_PAGE}: the marks of the table are not there`);
writeFileSync(ZOO_PAGE, `${text.slice(0, from)}${ZOO_MARKS[0]}\n\n${zooTable(rows)}\n\n${text.slice(to)}`);
