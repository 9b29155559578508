// How soon the one-command product is ready, with the demo models of an earlier start, and how much memory its processes take
// when they have nothing to do. Run: node dist/bench/start.js [starts]
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Product } from '../test/support/product.js';
import { printResult, spread } from './result.js';

const starts = Number(process.argv[2] ?? 5);
/** Seconds after which a process counts as idle. */
const IDLE = 30;

const product = await Product.start({
  embedded: true,
  args: ['--demo'],
  env: { LOG_LEVEL: 'warn', SERVING_PROCESSES: '1' },
});
try {
  await benchStart();
  await sleep(IDLE * 1000);
  reportMemory();
} finally {
  await product.remove();
}

async function benchStart(): Promise<void> {
  const seconds: number[] = [];
  const parts: Record<string, number[]> = {};
  for (let i = 0; i < starts; i++) {
    await product.stop();
    product.lines.length = 0;
    const begun = performance.now();
    const since = () => (performance.now() - begun) / 1000;
    const seen: Record<string, number> = {};
    const watch = setInterval(() => {
      if (postgresIsReady()) seen['PostgreSQL s'] ??= since();
      for (const line of product.lines) {
        const [name = ''] = line.split(' ');
        seen[`${name} listening s`] ??= since();
      }
    }, 5);
    await product.start();
    seconds.push(since());
    clearInterval(watch);
    for (const [name, time] of Object.entries(seen)) (parts[name] ??= []).push(time);
  }
  printResult({
    what: 'start to both ports ready, with an existing database, in seconds',
    ...spread(seconds),
    parts: Object.fromEntries(
      Object.entries(parts).map(([name, times]) => [name, spread(times).ratio]),
    ),
    goal: '<= 3',
    better: 'lower',
  });
}

/** PostgreSQL writes into its pid file when it takes connections. */
function postgresIsReady(): boolean {
  try {
    const file = join(product.folder, 'postgres', 'postmaster.pid');
    return readFileSync(file, 'utf8').split('\n')[7]?.trim() === 'ready';
  } catch {
    return false;
  }
}

function reportMemory(): void {
  const { registry, serving, workers, server, postgres, all, guardian } = product.processes;
  const report = (what: string, pid: number, goal?: number) => {
    const { rss, pss, own } = memoryOf(pid);
    printResult({
      what: `${what} idle, resident MiB`,
      ratio: rss,
      low: rss,
      high: rss,
      // What the processes of Node share, such as its program text, counts in full in the resident size of each.
      parts: { 'proportional MiB': pss, 'private MiB': own },
      ...(goal !== undefined && { goal: `< ${goal}` }),
      better: 'lower',
    });
  };
  report('registry', registry, 200);
  report('serving supervisor', serving, 150);
  for (const worker of workers) report('serving process', worker, 150);
  report('server (parent of all)', server);
  if (guardian !== undefined) report('guardian of PostgreSQL', guardian);
  const database = all.filter((pid) => commandOf(pid).includes('postgres:') || pid === postgres);
  const total = database.map((pid) => memoryOf(pid).pss).reduce((sum, pss) => sum + pss, 0);
  console.log(`PostgreSQL: ${database.length} processes, ${total.toFixed(0)} MiB proportional`);
}

/** MiB by /proc: resident, proportional (shared pages by their number of sharers), and what is this process's alone. */
function memoryOf(pid: number): { rss: number; pss: number; own: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mib = (name: string) =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(text)?.[1]) / 1024;
  return {
    rss: mib('Rss'),
    pss: mib('Pss'),
    own: mib('Private_Clean') + mib('Private_Dirty'),
  };
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
