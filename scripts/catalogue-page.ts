// The text of docs/catalogue.md. The entries and what cannot be modelled stand in docs/catalogue/*.yaml; the stories,
// references, profiles and verdicts come from the scenarios, which are run for it.

import { parse } from 'yaml';
import * as z from 'zod';
import { play } from '../src/cli/play.ts';
import { loadScenarioFile } from '../src/cli/scenario-file.ts';
import { allChecks, failedChecks } from '../src/scenario/result.ts';
import type { ScenarioHead } from '../src/scenario/schema.ts';
import { filesBelow, textOf } from '../test/support.ts';

export const CATALOGUE_PAGE = 'docs/catalogue.md';

const sectionSchema = z.strictObject({
  title: z.string(),
  entries: z.array(z.string()),
  /** Entries that no scenario can tell. */
  not_modelled: z.record(z.string(), z.strictObject({ story: z.string(), reason: z.string().min(20) })),
});

interface Section extends z.infer<typeof sectionSchema> {
  readonly letter: string;
  readonly file: string;
}

interface Told {
  readonly file: string;
  readonly head: ScenarioHead;
  readonly entry: string;
  readonly expectations: number;
  readonly failed: number;
}

const BASIS: Readonly<Record<string, string>> = {
  recorded: 'as recorded from a running kernel',
  'code-reading': 'by code reading',
  reported: 'as reported',
};

function sections(): Section[] {
  return filesBelow('docs/catalogue', '.yaml').map((file) => {
    const read = sectionSchema.safeParse(parse(textOf(file)));
    if (!read.success) throw new Error(`${file}: ${z.prettifyError(read.error)}`);
    return { ...read.data, file, letter: file.replace(/^.*\/(\w+)\.yaml$/, '$1') };
  });
}

function told(): Told[] {
  return filesBelow('scenarios', '.yaml').flatMap((file) => {
    const entry = (parse(textOf(file)) as ScenarioHead).reference?.catalogue;
    if (entry === undefined) return [];
    const loaded = loadScenarioFile(file);
    if (!loaded.ok) throw new Error(`${file}: ${JSON.stringify(loaded.diagnostics)}`);
    const { report } = play(loaded.scenario);
    const head = parse(textOf(file)) as ScenarioHead;
    return [{ file, head, entry, expectations: allChecks(report), failed: failedChecks(report) }];
  });
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ').trim();

function profileOf({ head }: Told): string {
  const { profile, switches, config } = head.machine ?? {};
  const off = Object.entries(switches ?? {}).map(([name, on]) => `${name}: ${on}`);
  const options = Object.entries(config ?? {}).map(([name, value]) => `${name}=${value}`);
  return [profile ?? 'linux-6.12.107', ...off, ...options].join(', ');
}

function referenceOf({ head }: Told): string {
  const { title = '', url, commit, date } = head.reference ?? {};
  const text = cell(title);
  const linked = url === undefined ? text : `[${text}](${url})`;
  return [linked, commit, date].filter((t) => t !== undefined).join(', ');
}

function verdictOf(t: Told): string {
  const basis = t.head.reference?.basis;
  const holds = t.failed === 0 ? `holds (${t.expectations})` : `${t.failed} of ${t.expectations} fail`;
  return basis === undefined ? holds : `${holds}, ${BASIS[basis]}`;
}

function row(entry: string, t: Told): string {
  const scenario = `[${t.file.replace(/^scenarios\//, '')}](../${t.file})`;
  const cells = [`\`${entry}\``, cell(t.head.title), referenceOf(t), profileOf(t), scenario, verdictOf(t)];
  return `| ${cells.join(' | ')} |`;
}

function sectionText(s: Section, all: readonly Told[]): string {
  const rows = s.entries.flatMap((entry) => all.filter((t) => t.entry === entry).map((t) => row(entry, t)));
  const missing = Object.entries(s.not_modelled).map(
    ([entry, { story, reason }]) => `| \`${entry}\` | ${cell(story)} | ${cell(reason)} |`,
  );
  const open = s.entries.filter(
    (entry) => s.not_modelled[entry] === undefined && !all.some((t) => t.entry === entry),
  );
  const parts = [`## ${s.letter}. ${s.title}`];
  if (rows.length > 0)
    parts.push(
      [
        '| entry | story | reference | profile | scenario | verdict |\n| --- | --- | --- | --- | --- | --- |',
        ...rows,
      ].join('\n'),
    );
  if (missing.length > 0)
    parts.push(['| not modelled | story | why |\n| --- | --- | --- |', ...missing].join('\n'));
  if (open.length > 0) parts.push(`Not yet told: ${open.map((e) => `\`${e}\``).join(', ')}.`);
  return parts.join('\n\n');
}

/** Names that stand in a scenario or among the reasons, and in no section. */
function strangers(all: readonly Section[], stories: readonly Told[]): string[] {
  const known = new Set(all.flatMap((s) => s.entries));
  return [
    ...stories.filter((t) => !known.has(t.entry)).map((t) => `${t.file}: no entry is called ${t.entry}`),
    ...all.flatMap((s) =>
      Object.keys(s.not_modelled)
        .filter((entry) => !s.entries.includes(entry))
        .map((entry) => `${s.file}: no entry is called ${entry}`),
    ),
    ...all.flatMap((s) =>
      Object.keys(s.not_modelled)
        .filter((entry) => stories.some((t) => t.entry === entry))
        .map((entry) => `${s.file}: ${entry} is told by a scenario`),
    ),
  ];
}

export function cataloguePage(): string {
  const all = sections();
  const stories = told();
  const wrong = strangers(all, stories);
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
  const entries = all.reduce((n, s) => n + s.entries.length, 0);
  const reached = new Set(stories.map((t) => t.entry)).size;
  const impossible = all.reduce((n, s) => n + Object.keys(s.not_modelled).length, 0);
  return `# Catalogue of edge cases

${entries} stories from mailing lists, commits and bug reports about IMA, EVM, IPE, the TPM and kexec. ${reached} are told by
${stories.length} scenarios, ${impossible} cannot be modelled, ${entries - reached - impossible} are not told yet. \`npm run catalogue\` writes this page from
\`docs/catalogue/\` and from running the scenarios; \`kisim run\` with the path of a scenario tells its story step by step.

The verdict says how many expectations hold, and how the story is known: recorded from a running kernel of that release, by
reading its source, or as reported by others. Each scenario fails when the mechanism it is about is switched off
(\`docs/scenarios.md\`, "Breaking a scenario").

${all.map((s) => sectionText(s, stories)).join('\n\n')}
`;
}
