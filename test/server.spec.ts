import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '#platform';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { exitOf, processesWith, until } from './support/processes.js';

const main = fileURLToPath(new URL('../apps/server/main.js', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-server-'));
  await chmod(folder, 0o711);
});
afterEach(async () => {
  for (const pid of leftovers()) process.kill(pid, 'SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** Everything that a server on this folder started has the folder in its command line or its environment. */
function leftovers(): number[] {
  return processesWith(folder, 'environ').filter((pid) => pid !== process.pid);
}

/** The real command. Its lines are the promise to scripts, so they are compared to the letter. */
function run(env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [main], {
    detached: true,
    env: {
      PATH: process.env.PATH,
      DATA_DIR: join(folder, 'data'),
      PORT: '0',
      SERVING_PORT: '0',
      SERVING_PROCESSES: '1',
      LOG_LEVEL: 'fatal',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  let errors = '';
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const ended = exitOf(child);
  const ready = async () => {
    await Promise.race([
      until(() => lines.length === 2, 60_000),
      ended.then((code) => Promise.reject(new Error(`Ended with ${code}: ${errors}`))),
    ]);
    const [registry = '', serving = ''] = lines.toSorted();
    return { lines: [registry, serving], registryUrl: registry.split(' ').at(-1) ?? '' };
  };
  return { child, ready, ended, errors: () => errors };
}

describe('the server', () => {
  it('prints a line a port, answers at both, and stops cleanly on SIGTERM', async () => {
    const [PORT, SERVING_PORT] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')];
    const server = run({ PORT: String(PORT), SERVING_PORT: String(SERVING_PORT) });
    const { lines } = await server.ready();
    expect(lines).toEqual([
      `registry listening on http://127.0.0.1:${PORT}`,
      `serving listening on http://127.0.0.1:${SERVING_PORT}`,
    ]);
    expect((await fetch(`http://127.0.0.1:${PORT}/readyz`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${SERVING_PORT}/v2/health/live`)).status).toBe(200);
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    expect(leftovers()).toEqual([]);
  }, 60_000);

  it('takes the signals of one Ctrl-C for one, in the terminal and passed on by npm', async () => {
    const server = run();
    await server.ready();
    for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM'] as const) server.child.kill(signal);
    expect(await server.ended).toBe(0);
    expect(server.errors()).toBe('');
    expect(leftovers()).toEqual([]);
  }, 60_000);

  it('leaves nothing when its process group is killed, and starts again at once', async () => {
    const first = run();
    await first.ready();
    expect(leftovers().length).toBeGreaterThan(3);
    const { pid } = first.child;
    if (pid === undefined) throw new Error('The server has no process id');
    process.kill(-pid, 'SIGKILL');
    const second = run();
    await second.ready();
    second.child.kill('SIGKILL');
    await until(() => leftovers().length === 0, 30_000);
  }, 90_000);

  it('starts a registry again that died, at the same port', async () => {
    const server = run();
    const { registryUrl } = await server.ready();
    const answers = () =>
      fetch(`${registryUrl}/livez`).then(
        (r) => r.ok,
        () => false,
      );
    for (const pid of processesWith('apps/registry/main.js').filter((id) =>
      leftovers().includes(id),
    )) {
      process.kill(pid, 'SIGKILL');
    }
    await until(async () => !(await answers()));
    await until(answers, 30_000);
    server.child.kill('SIGINT');
    expect(await server.ended).toBe(0);
  }, 90_000);

  it('refuses a folder that another server uses', async () => {
    const first = run();
    await first.ready();
    const second = run();
    expect(await second.ended).toBe(69);
    expect(second.errors()).toBe(
      `Another Slipway server already runs on ${join(folder, 'data')} (DATA_DIR)\n`,
    );
    first.child.kill('SIGTERM');
    expect(await first.ended).toBe(0);
  }, 60_000);

  it('says in one line which port is in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    const server = run({ PORT: String(port) });
    expect(await server.ended).toBe(69);
    expect(server.errors()).toBe(
      `Cannot listen on 127.0.0.1 port ${port}: it is in use by another program\n`,
    );
    taken.close();
  });

  it('says in one line that the database is out of reach', async () => {
    const port = await freePort('127.0.0.1');
    const server = run({ DATABASE_URL: `postgres://me:secret@127.0.0.1:${port}/slipway` });
    expect(await server.ended).toBe(69);
    expect(server.errors()).toMatch(
      /^Cannot use PostgreSQL at 127\.0\.0\.1:\d+\/slipway .*ECONNREFUSED.*\n$/,
    );
    expect(server.errors()).not.toContain('secret');
  });

  it('lists all faults of the configuration, and warns of unknown variables', async () => {
    const server = run({ PORT: 'x', MAX_ROWS: 'y', HOST: '0.0.0.0', SLIPWAY_TOKN: 'z' });
    expect(await server.ended).toBe(78);
    expect(server.errors().trim().split('\n')).toEqual([
      'Wrong configuration:',
      expect.stringContaining('PORT="x"'),
      expect.stringContaining('MAX_ROWS="y"'),
      expect.stringContaining('SLIPWAY_TOKEN'),
    ]);
    expect(existsSync(join(folder, 'data'))).toBe(false);
  });
});
