// Writes docs/kernel-map.md: which kernel function or TCG section each exported function models, from the @kernel, @tcg and
// @deviation tags. With --check it writes nothing and fails when the page is not up to date.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, ROOT, textOf } from '../test/support.ts';

interface Tag {
  readonly kind: 'kernel' | 'tcg' | 'deviation';
  readonly text: string;
  readonly file: string;
  readonly name: string;
}

/** Tags of one file with the name that the docstring stands before. */
function tagsOf(file: string): Tag[] {
  const out: Tag[] = [];
  const pattern =
    /\/\*\*([\s\S]*?)\*\/\s*(?:export )?(?:async )?(?:function\*? |class |const |interface |type |readonly |static |\*)?#?(\w+)/g;
  for (const m of textOf(file).matchAll(pattern)) {
    const body = (m[1] ?? '').replace(/\n\s*\* ?/g, ' ');
    for (const t of body.matchAll(/@(kernel|tcg|deviation) ([^@]+)/g)) {
      out.push({ kind: t[1] as Tag['kind'], text: (t[2] ?? '').trim(), file, name: m[2] ?? '' });
    }
  }
  return out;
}

const tags = filesBelow('src', '.ts').flatMap(tagsOf);

function section(title: string, kind: Tag['kind'], head: readonly [string, string]): string {
  const rows = tags
    .filter((t) => t.kind === kind)
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  const lines = rows.map((t) => `| ${t.text.replaceAll('|', '\\|')} | \`${t.name}\` in ${t.file} |`);
  return `## ${title}\n\n| ${head[0]} | ${head[1]} |\n| --- | --- |\n${lines.join('\n')}\n`;
}

const page = `# Kernel map

Which function of the kernel, or which section of the TPM specification, each part of the simulator models. Nothing is
copied from either: behaviour is described and written anew. This page is generated (\`npm run kernel-map\`).

${section('Linux 6.12', 'kernel', ['kernel', 'here'])}
${section('TPM 2.0 library', 'tcg', ['section', 'here'])}
${section('Deliberate differences', 'deviation', ['what and why', 'where'])}`;

const path = join(ROOT, 'docs/kernel-map.md');
if (process.argv.includes('--check')) {
  if (readFileSync(path, 'utf8') !== page) {
    console.error('docs/kernel-map.md is not up to date: npm run kernel-map');
    process.exitCode = 1;
  }
} else writeFileSync(path, page);
