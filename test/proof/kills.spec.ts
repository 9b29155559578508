import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { lives, type ProcessTree, Product } from '../support/product.js';
import { until } from '../support/processes.js';
import { amount, progress, proofTimeout, report } from '../support/proof.js';
import { RegistryAudit } from '../support/registry-audit.js';
import { RegistryWork } from '../support/registry-work.js';
import { Seeded } from '../support/seeded.js';
import { StrictClient } from '../support/strict-client.js';

/**
 * Whatever dies by kill -9 at whatever moment, while clients log, promote, upload and delete, and readers look: what was
 * acknowledged is there, and nothing is there by half.
 */

const rounds = amount(20, 500);
const models = ['alpha', 'beta', 'gamma'];
/** What is killed in a round; `server` takes everything down, and `all` kills each process by itself. */
const targets = [
  'server',
  'all',
  'registry',
  'postgres',
  'backend',
  'guardian',
  'serving',
  'workers',
  'compiling',
] as const;

let product: Product;

beforeAll(async () => {
  product = await Product.start({ embedded: true, env: { LOG_LEVEL: 'warn' } });
}, 120_000);

afterAll(() => product.remove(), 120_000);

it(
  'kill -9 of everything at random moments loses nothing and shows nothing by half',
  async () => {
    const seeded = new Seeded();
    const client = new StrictClient(() => product.url);
    const work = new RegistryWork({ url: () => product.url, seeded: seeded.fork(), models });
    const audit = new RegistryAudit({
      databaseUrl: () => product.databaseUrl,
      client,
      journal: work.journal,
      artifacts: join(product.folder, 'artifacts'),
    });
    const killed: Record<string, number> = {};
    const violations: string[] = [];
    let looks = 0;
    work.start({ clients: 8, readers: 2 });
    try {
      for (let round = 1; round <= rounds; round++) {
        await sleep(seeded.int(0, 1200));
        const target = seeded.pick(targets);
        progress(`round ${round}: kill ${target}`);
        const begun = performance.now();
        killed[target] = (killed[target] ?? 0) + (await kill(target));
        await back();
        progress(
          `round ${round}: ${target} killed, all back after ${Math.round(performance.now() - begun)} ms`,
        );
        if (round % 5 === 0 || round === rounds) {
          // Nothing is told about what is under way: the audit wants rest.
          violations.push(...(await rested(work, audit)).map((what) => `round ${round}: ${what}`));
          looks++;
        }
        violations.push(...work.violations.splice(0), ...work.client.violations.splice(0));
        violations.push(...client.violations.splice(0));
        if (violations.length === 0) continue;
        progress([...violations, ...product.errors].join('\n'));
        break;
      }
      await work.stop();
    } catch (error) {
      await work.abandon();
      throw new Error(`With PROOF_SEED=${seeded.seed}: ${String(error)}`, { cause: error });
    }
    violations.push(...(await audit.look({ all: true })), ...work.violations);
    const { journal } = work;
    report('kill -9 under load', {
      rounds,
      kills: JSON.stringify(killed),
      'acknowledged versions': journal.acknowledgedVersions().length,
      'acknowledged changes': journal.changes.filter((c) => c.acknowledged !== undefined).length,
      'unanswered requests': work.client.cut,
      'times 503': work.client.unavailable,
      'creations asked again': journal.keysRepeated,
      'uploads resumed': journal.uploadsResumed,
      'versions read meanwhile': work.readsOfFiles,
      audits: looks,
      blobs: audit.blobs,
      violations: violations.length,
      seed: seeded.seed,
    });
    expect({ seed: seeded.seed, violations }).toEqual({ seed: seeded.seed, violations: [] });
    expect(journal.acknowledgedVersions().length).toBeGreaterThan(rounds);
  },
  proofTimeout,
);

/** Looks while the clients wait. */
async function rested(work: RegistryWork, audit: RegistryAudit): Promise<string[]> {
  const resume = await work.rest();
  try {
    return await audit.look();
  } finally {
    resume();
  }
}

/** @returns how many processes were killed */
async function kill(target: (typeof targets)[number]): Promise<number> {
  const tree = await processes();
  const { all, server, registry, serving, workers, compiling, guardian, postgres } = tree;
  const processesOf: Record<(typeof targets)[number], (number | undefined)[]> = {
    server: [server],
    all,
    registry: [registry],
    serving: [serving],
    workers,
    compiling: compiling.length ? compiling : [registry],
    guardian: [guardian],
    postgres: [postgres],
    backend: tree.backends.slice(-1),
  };
  const chosen = processesOf[target].filter((pid) => pid !== undefined);
  if (target === 'server') {
    await product.stop('SIGKILL');
  } else for (const pid of chosen) signal(pid);
  if (target === 'all') await product.stop('SIGKILL');
  if (target === 'server' || target === 'all') {
    await until(() => !tree.children.some(lives), 30_000);
    await product.start();
  }
  return chosen.length;
}

/** As they are when none of those that always run is being started again. */
async function processes(): Promise<ProcessTree> {
  let tree: ProcessTree | undefined;
  await until(() => {
    try {
      tree = product.processes;
    } catch {
      return false;
    }
    return true;
  }, 180_000);
  return tree ?? product.processes;
}

/** Resolves when the registry and serving answer again. */
async function back(): Promise<void> {
  for (const url of [product.url, product.servingUrl])
    await until(async () => {
      const answer = await fetch(`${url}/readyz`).catch(() => undefined);
      await answer?.arrayBuffer().catch(() => undefined);
      return answer?.ok ?? false;
    }, 180_000);
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself since.
  }
}
