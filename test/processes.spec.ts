import { fileURLToPath } from 'node:url';
import { type ChildOptions, createLogger, freePort, StartError, superviseChild } from '#platform';
import { describe, expect, it } from '@jest/globals';
import { startModule, until } from './support/processes.js';

const pathOf = (name: string) => fileURLToPath(new URL(`./support/${name}.js`, import.meta.url));

function supervise(CHILD_MODE: string, options: Partial<ChildOptions> = {}) {
  return superviseChild({
    name: 'child',
    script: pathOf('run-child'),
    env: { ...process.env, CHILD_MODE },
    logger: createLogger({ LOG_LEVEL: 'silent' }, 'test'),
    ...options,
  });
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a supervised child', () => {
  it('is ready, and stops when it is told to', async () => {
    const child = supervise('good');
    const pid = await child.ready;
    expect(pid).toBe(child.pid);
    await child.stop();
    expect(lives(pid)).toBe(false);
    await child.stop();
  });

  it('is started again when it dies', async () => {
    const child = supervise('good');
    const first = await child.ready;
    process.kill(first, 'SIGKILL');
    await until(() => child.pid !== first && child.pid !== undefined && lives(child.pid));
    await child.stop();
    expect(child.pid !== undefined && lives(child.pid)).toBe(false);
  });

  it('that never was ready is not started again', async () => {
    const refused = await supervise('refuse').ready.catch((error: unknown) => error);
    // It has printed the reason itself.
    expect(refused).toMatchObject({ message: '', exitCode: 69 });
    await expect(supervise('crash').ready).rejects.toThrow(
      new StartError('child ended before it was ready (exit code 3)'),
    );
  });

  it('is killed where it does not stop', async () => {
    const child = supervise('stubborn', { grace: 200 });
    const pid = await child.ready;
    await child.stop();
    expect(lives(pid)).toBe(false);
  });

  it('ends when its parent is killed', async () => {
    const { child: parent, line } = await startModule(pathOf('run-parent'), []);
    const pid = Number(line);
    expect(lives(pid)).toBe(true);
    parent.kill('SIGKILL');
    await until(() => !lives(pid));
  });
});

it('finds a free port, and says where the wanted one is in use', async () => {
  const port = await freePort('127.0.0.1');
  expect(await freePort('127.0.0.1', port)).toBe(port);
  const { createServer } = await import('node:net');
  const server = createServer().listen(port, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  await expect(freePort('127.0.0.1', port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  server.close();
});
