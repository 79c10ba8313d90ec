// Interleaved benchmark harness: every task of a group runs in turn, in rounds, so that a noisy machine disturbs all of
// them alike; the figure is the median over the rounds. Ratios inside one run can be trusted, absolute numbers hardly.

export interface Task {
  readonly name: string;
  /** Does `n` operations. */
  run(n: number): void;
}

export interface Measured {
  readonly name: string;
  readonly perSecond: number;
}

const ROUNDS = 5;
const ROUND_MS = 300;
/** Code runs this long before it counts: what is compiled late is not what a long run sees. */
const WARM_UP_MS = 1500;

function once(task: Task, n: number): number {
  const start = process.hrtime.bigint();
  task.run(n);
  return Number(process.hrtime.bigint() - start) / 1e6;
}

/** Median operations a second of each task. */
export function measure(tasks: readonly Task[]): Measured[] {
  const batch = tasks.map((task) => {
    let n = 1;
    for (let spent = 0; spent < WARM_UP_MS; ) spent += once(task, 10);
    while (once(task, n) < ROUND_MS / 4 && n < 1e7) n *= 2;
    return n;
  });
  const rates = tasks.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, task] of tasks.entries()) {
      const n = batch[i] ?? 1;
      let spent = 0;
      let done = 0;
      while (spent < ROUND_MS) {
        spent += once(task, n);
        done += n;
      }
      rates[i]?.push((done / spent) * 1000);
    }
  }
  return tasks.map((task, i) => {
    const sorted = (rates[i] ?? []).sort((a, b) => a - b);
    return { name: task.name, perSecond: sorted[Math.floor(sorted.length / 2)] ?? 0 };
  });
}

/** 12345678 -> "12.3 M". */
export function short(n: number): string {
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} M`;
  if (n >= 1e3) return `${(n / 1e3).toFixed(1)} k`;
  return n.toFixed(n < 10 ? 2 : 0);
}

/** Prints a group: the first task is ours, the others are peers; `target` is operations a second. */
export function report(title: string, target: number | null, tasks: readonly Task[]): void {
  const [ours, ...peers] = measure(tasks);
  if (ours === undefined) return;
  const goal =
    target === null ? '' : `  target ${short(target)}: ${ours.perSecond >= target ? 'met' : 'MISSED'}`;
  console.log(
    `${title}\n  ${ours.name}: ${short(ours.perSecond)}/s (${(1e6 / ours.perSecond).toFixed(2)} us)${goal}`,
  );
  for (const peer of peers) {
    const ratio = ours.perSecond / peer.perSecond;
    console.log(`  ${peer.name}: ${short(peer.perSecond)}/s; ratio ${ratio.toFixed(ratio < 10 ? 2 : 0)}x`);
  }
}
