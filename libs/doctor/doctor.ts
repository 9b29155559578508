import { type Config, StartError, toDomainError } from '#platform';
import { readSettings } from './configuration.js';
import { checkDatabaseOf } from './database.js';
import { failure, type Finding, reasonOf, type Said, warning } from './finding.js';
import { checkDataDir, checkMemory, checkNode } from './machine.js';
import { checkPorts, checkServer } from './server.js';
import { checkStore } from './store.js';

/** Milliseconds after which a check is given up. */
const PATIENCE = 10_000;

interface Check {
  name: string;
  /** The settings that it stands on: where one of them is wrong, it says nothing worth knowing. */
  settings: (keyof Config)[];
  run(config: Config): Promise<Said | Said[]> | Said;
}

const checks: Check[] = [
  { name: 'node', settings: [], run: () => checkNode() },
  { name: 'disk', settings: ['DATA_DIR'], run: (config) => checkDataDir(config) },
  {
    name: 'memory',
    settings: ['SERVING_MEMORY', 'SERVING_PROCESSES'],
    run: (config) => checkMemory(config),
  },
  { name: 'database', settings: ['DATABASE_URL', 'DATA_DIR'], run: checkDatabaseOf },
  { name: 'store', settings: ['ARTIFACT_STORE', 'S3_ENDPOINT', 'DATA_DIR'], run: checkStore },
  { name: 'ports', settings: ['HOST', 'PORT', 'SERVING_PORT'], run: checkPorts },
  { name: 'server', settings: ['HOST', 'PORT', 'SERVING_PORT'], run: checkServer },
];

/**
 * Looks at all that a server with these settings needs, one thing after the other, and says what to do about what is not
 * right. Changes nothing: what it writes to the store it removes, and it starts no PostgreSQL. Ends within 10 s a check.
 */
export async function* diagnose(env: NodeJS.ProcessEnv = process.env): AsyncGenerator<Finding> {
  const { config, wrong, said } = readSettings(env);
  yield* named('configuration', said);
  for (const check of checks) {
    const cause = check.settings.find((setting) => wrong.has(setting));
    if (cause !== undefined || !config) {
      const why = `not checked: ${cause ?? 'the configuration'} is wrong`;
      yield* named(check.name, [warning(why, `correct ${cause ?? 'it'} first`)]);
      continue;
    }
    yield* named(check.name, await inTime(check, config));
  }
}

function named(check: string, said: Said[]): Finding[] {
  return said.map((one) => ({ check, ...one }));
}

async function inTime(check: Check, config: Config): Promise<Said[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Said>((resolve) => {
    const seconds = PATIENCE / 1000;
    const said = failure(
      `no answer within ${seconds} s`,
      'see whether the disk or the network that it stands on answers at all',
    );
    timer = setTimeout(() => resolve(said), PATIENCE);
  });
  try {
    return [await Promise.race([check.run(config), late])].flat();
  } catch (error) {
    const known = error instanceof StartError || toDomainError(error) !== undefined;
    const next = known ? 'do as the message says, then ask again' : 'see docs/operations.md';
    return [failure(reasonOf(error), next)];
  } finally {
    clearTimeout(timer);
  }
}
