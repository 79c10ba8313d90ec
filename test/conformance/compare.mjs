#!/usr/bin/env node
// Compares results with records of the real kernel. One definition of "the same" for everybody.
//   compare.mjs RECORDS_DIR OURS_DIR [--json FILE] [--show N] [--only REGEX]
// RECORDS_DIR holds NAME.json records, OURS_DIR holds NAME.json in the same form. Prints a line per group, the first difference
// of each failing case, and last `passed N of M cases, X of Y observations`. Exit 0 when everything is equal, else 1.
// Left out of the comparison, because they are not the kernel's decision: times, process ids, `log`, the order of directory
// listings, inode numbers of memory file systems, inode generations, the bytes of an EVM HMAC whose inode generation the case did
// not set (type byte and length still count), and PCR 0-9 (input of the case).
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const args = process.argv.slice(2);
const option = (name, fallback) => {
  const i = args.indexOf(name);
  if (i < 0) return fallback;
  const v = args[i + 1];
  args.splice(i, 2);
  return v;
};
const jsonFile = option('--json');
const show = Number(option('--show', '1'));
const only = new RegExp(option('--only', '.'));
const [recordsDir, oursDir] = args;
if (!recordsDir || !oursDir) {
  console.error('usage: compare.mjs RECORDS_DIR OURS_DIR [--json FILE] [--show N] [--only REGEX]');
  process.exit(2);
}

const audit = (line) =>
  line
    .replace(/\bp?pid=\d+/g, (m) => m.replace(/\d+/, 'N'))
    .replace(/audit\([^)]*\)/, 'audit(T:N)')
    .replace(/dev="(?!vd|dm-|sd)([^"]*)" ino=\d+/g, 'dev="$1" ino=N')
    .trimEnd();
const text = (v) => (typeof v === 'string' ? v : JSON.stringify(v));
const clip = (v) => {
  const s = v === undefined ? '(absent)' : text(v);
  return s.length > 300 ? `${s.slice(0, 300)}... (${s.length} characters)` : s;
};

// A stage of a case: ops and final state. `generationSet` holds paths whose HMAC can be predicted.
function* observations(name, input, record, ours) {
  const setgen = new Set();
  const inputs = input?.ops ?? [];
  for (const [i, want] of (record.ops ?? []).entries()) {
    const op = inputs[i] ?? {};
    const got = ours?.ops?.[i];
    if (op.op === 'setgen') setgen.add(op.path);
    for (const key of Object.keys(want)) {
      let a = want[key];
      let b = got?.[key];
      if (op.op === 'geninfo' && key === 'gen') continue;
      if (op.op === 'stat' && key === 'ino' && !/^\/mnt/.test(op.path ?? '')) continue;
      if (op.op === 'ls' && key === 'entries') {
        a = [...(a ?? [])].map(text).sort();
        b = Array.isArray(b) ? [...b].map(text).sort() : b;
      }
      if (op.op === 'getxattr' && key === 'value' && op.name === 'security.evm' && !setgen.has(op.path)) {
        const shape = (v) => {
          const h = v?.hex ?? v;
          return typeof h === 'string' && h.startsWith('02') ? `02 + ${h.length / 2 - 1} bytes` : v;
        };
        a = shape(a);
        b = shape(b);
      }
      if (key === 'pcrs') {
        a = high(a);
        b = high(b);
      }
      yield {
        at: `${name} op ${i} ${op.op ?? ''} ${op.path ?? op.slot ?? ''}${op.note ? ` (${op.note})` : ''}: ${key}`,
        a,
        b,
      };
    }
  }
  const f = record.final ?? {};
  const g = ours?.final;
  for (const key of ['ascii', 'ascii_sha256', 'binary', 'count', 'violations', 'policy', 'evm'])
    if (key in f) yield { at: `${name} final ${key}`, a: f[key], b: g?.[key] };
  if (f.pcrs) yield { at: `${name} final pcrs`, a: high(f.pcrs), b: high(g?.pcrs) };
  if (f.audit) yield { at: `${name} final audit`, a: f.audit.map(audit), b: g?.audit?.map?.(audit) };
}
function high(pcrs) {
  if (!pcrs) return pcrs;
  return Object.fromEntries(
    Object.entries(pcrs)
      .sort()
      .map(([bank, v]) => [
        bank,
        Object.fromEntries(
          Object.entries(v)
            .filter(([n, x]) => Number(n) >= 10 && !/^(0*|f*)$/i.test(x))
            .sort((x, y) => x[0] - y[0]),
        ),
      ]),
  );
}
const stable = (v) =>
  JSON.stringify(v, (_, x) =>
    x && typeof x === 'object' && !Array.isArray(x) ? Object.fromEntries(Object.entries(x).sort()) : x,
  );
const firstDifference = (a, b) => {
  if (typeof a === 'string' && typeof b === 'string' && a.includes('\n')) {
    const [x, y] = [a.split('\n'), b.split('\n')];
    for (let i = 0; i < Math.max(x.length, y.length); i++)
      if (x[i] !== y[i]) return `line ${i + 1}: kernel ${clip(x[i])} | ours ${clip(y[i])}`;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.max(a.length, b.length); i++)
      if (stable(a[i]) !== stable(b[i])) return `item ${i}: kernel ${clip(a[i])} | ours ${clip(b[i])}`;
  }
  return `kernel ${clip(a)} | ours ${clip(b)}`;
};

const groups = new Map();
const failing = [];
let passed = 0,
  cases = 0,
  seen = 0,
  equal = 0;
for (const file of readdirSync(recordsDir)
  .filter((f) => f.endsWith('.json'))
  .sort()) {
  const record = JSON.parse(readFileSync(join(recordsDir, file), 'utf8'));
  if (!only.test(record.name)) continue;
  const casePath = join(recordsDir, '..', 'cases', file);
  const input = existsSync(casePath) ? JSON.parse(readFileSync(casePath, 'utf8')) : {};
  const ourPath = join(oursDir, file);
  let ours;
  let broken;
  try {
    ours = existsSync(ourPath) ? JSON.parse(readFileSync(ourPath, 'utf8')) : undefined;
  } catch (e) {
    broken = e.message;
  }
  const differences = [];
  let here = 0,
    same = 0;
  const stages = [['', input, record, ours]];
  if (record.stage2) stages.push(['second kernel', { ops: input.stage2 ?? [] }, record.stage2, ours?.stage2]);
  for (const [name, i, r, o] of stages)
    for (const ob of observations(name, i, r, o)) {
      here++;
      if (stable(ob.a) === stable(ob.b)) same++;
      else differences.push(`${ob.at.trim()}: ${firstDifference(ob.a, ob.b)}`);
    }
  cases++;
  seen += here;
  equal += same;
  const g = groups.get(record.group) ?? { cases: 0, passed: 0, seen: 0, equal: 0 };
  g.cases++;
  g.seen += here;
  g.equal += same;
  if (differences.length === 0) {
    passed++;
    g.passed++;
  } else
    failing.push({
      name: record.name,
      group: record.group,
      differences: ours ? differences : [broken ? `unreadable result: ${broken}` : 'no result'],
      count: differences.length,
    });
  groups.set(record.group, g);
}
for (const f of failing)
  for (const d of f.differences.slice(0, show)) console.log(`FAIL ${f.name} (${f.count}): ${d}`);
for (const [g, v] of [...groups].sort())
  console.log(`group ${g}: ${v.passed} of ${v.cases} cases, ${v.equal} of ${v.seen} observations`);
if (jsonFile)
  writeFileSync(
    jsonFile,
    JSON.stringify({ passed, cases, equal, seen, groups: Object.fromEntries(groups), failing }, null, 1),
  );
console.log(`passed ${passed} of ${cases} cases, ${equal} of ${seen} observations`);
process.exit(passed === cases && cases > 0 ? 0 : 1);
