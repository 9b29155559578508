import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { freePort } from '#platform';
import { copyInto, copyOf, isSent, readDockerfile } from '../support/dockerfile.js';
import { exitOf, until } from '../support/processes.js';
import { long, proofTimeout, report } from '../support/proof.js';

/*
 * There may be no Docker engine where this runs: the steps of the Dockerfile are followed in plain folders, one a stage,
 * and the last stage is then started as its user, in a tree that nobody may write to.
 */

/** Of the user `nobody`: initdb wants a user that has a name, as 10001 has in the image. */
const NOBODY = 65_534;
const root = mkdtempSync(join(tmpdir(), 'slipway-image-'));
let server: ChildProcess | undefined;
afterAll(async () => {
  if (server && server.exitCode === null) {
    server.kill('SIGKILL');
    await exitOf(server);
  }
  execFileSync('chmod', ['-R', 'u+w', root]);
  rmSync(root, { recursive: true, force: true });
});

const asRoot = process.getuid?.() === 0;
const run = long && asRoot ? it : it.skip;
if (!long || !asRoot) {
  process.stderr.write(
    'Left out: the image is put together step by step in the long form only (PROOF=long), as root\n',
  );
}

/** Follows every stage; gives the folder of the last one. */
function build(): string {
  const ignore = readFileSync('.dockerignore', 'utf8');
  let folder = '';
  for (const [index, { name, steps }] of readDockerfile('docker/Dockerfile').entries()) {
    folder = join(root, name || `stage-${index}`);
    mkdirSync(folder, { recursive: true });
    for (const { word, rest } of steps) {
      if (word === 'COPY') {
        const { stage, sources, target } = copyOf(rest);
        for (const source of sources) {
          if (stage)
            copyInto(
              join(root, stage, source.replace(/^\/app\//, '')),
              join(folder, target),
              () => true,
            );
          else copyInto(source, join(folder, target), (path) => isSent(join(source, path), ignore));
        }
      }
      // What else is run makes the user and the folder, which this test has made already.
      if (word === 'RUN' && rest.startsWith('npm')) {
        execFileSync('/bin/sh', ['-c', rest], { cwd: folder, stdio: 'pipe' });
      }
    }
  }
  return folder;
}

run(
  'the image is whole: it starts as its user in a tree that nobody may write to',
  async () => {
    chmodSync(root, 0o755);
    const app = build();
    execFileSync('chmod', ['-R', 'a-w,a+rX', app]);
    const data = join(root, 'data');
    mkdirSync(data, { mode: 0o711 });
    chownSync(data, NOBODY, NOBODY);
    const [PORT, SERVING_PORT] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')];
    const env = {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      HOST: '0.0.0.0',
      DATA_DIR: data,
      SLIPWAY_TOKEN: 'secret',
      PORT: String(PORT),
      SERVING_PORT: String(SERVING_PORT),
      SERVING_PROCESSES: '1',
    };
    const as = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'];
    const health = () => {
      try {
        execFileSync('setpriv', [...as, 'node', 'docker/health.mjs'], {
          cwd: app,
          env,
          stdio: 'pipe',
        });
        return true;
      } catch {
        return false;
      }
    };
    expect(health()).toBe(false);
    const begun = Date.now();
    server = spawn(
      'setpriv',
      [...as, 'node', '--enable-source-maps', 'dist/apps/server/main.js', '--demo'],
      { cwd: app, env, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let errors = '';
    server.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    const headers = { authorization: 'Bearer secret' };
    const origin = `http://127.0.0.1:${PORT}`;
    await until(async () => {
      if (server?.exitCode !== null) throw new Error(errors);
      return (await fetch(`${origin}/readyz`).catch(() => undefined))?.ok ?? false;
    }, 120_000);
    expect(health()).toBe(true);
    const { items } = (await (await fetch(`${origin}/api/v1/models`, { headers })).json()) as {
      items: unknown[];
    };
    expect(items).toHaveLength(3);
    const dev = ['jest', 'oxlint', 'supertest'].filter((name) => {
      try {
        readFileSync(join(app, 'node_modules', name, 'package.json'));
        return true;
      } catch {
        return false;
      }
    });
    expect(dev).toEqual([]);
    const size = execFileSync('du', ['-sm', app], { encoding: 'utf8' }).split('\t')[0] ?? '';
    report('the image', { 'MiB beside Node': size, 'ms to ready': Date.now() - begun });
    server.kill('SIGTERM');
    expect(await exitOf(server)).toBe(0);
  },
  proofTimeout,
);
