import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '#platform';
import { constantModel } from './support/models.js';
import { exitOf } from './support/processes.js';
import { Product } from './support/product.js';

const CLI = join('dist', 'apps', 'cli', 'main.js');

let server: Product;
let folder: string;

beforeAll(async () => {
  server = await Product.start();
  folder = await mkdtemp(join(tmpdir(), 'slipway-cli-'));
  for (const value of [1, 2]) {
    await mkdir(join(folder, String(value)));
    await writeFile(join(folder, String(value), 'model.json'), constantModel(value));
  }
}, 60_000);
afterAll(async () => {
  await server.remove();
  await rm(folder, { recursive: true });
});

interface Ended {
  code: number | null;
  out: string;
  errors: string;
}

/** Types a command; what it prints has no line break at its end. */
async function slipway(args: string[], input = '', env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env.PATH, SLIPWAY_URL: server.url, XDG_CACHE_HOME: folder, ...env },
  });
  child.stdin.end(input);
  const [out, errors, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    exitOf(child),
  ]);
  return { code, out: out.trimEnd(), errors: errors.trimEnd() };
}

const model = (value: number) => join(folder, String(value), 'model.json');

describe('slipway', () => {
  it('logs, promotes, predicts, rolls back', async () => {
    const first = await slipway([
      'log',
      'churn',
      model(1),
      '--metric',
      'auc=0.7',
      '--param',
      'trees=1',
      '--tag',
      'team=risk',
      '--promote',
    ]);
    expect(first).toMatchObject({ code: 0, out: '1' });
    expect(first.errors).toContain('churn/1 is servable (xgboost)');
    expect(first.errors).toContain('next: slipway predict churn --input FILE');
    const second = await slipway([
      'log',
      'churn',
      join(folder, '2'),
      '--metric',
      'auc=0.8',
      '--json',
    ]);
    expect(JSON.parse(second.out)).toMatchObject({ version: 2, metrics: { auc: 0.8 } });
    expect(second.errors).toContain('next: slipway promote churn/2');
    const again = await slipway(['log', 'copy', model(2)]);
    expect(again.errors).toContain('of it already stored');

    expect(await slipway(['predict', 'churn', '--input', '-'], '[[0.5]]')).toEqual({
      code: 0,
      out: 'predict\n1',
      errors: 'churn/1 answered',
    });
    const promoted = await slipway([
      'promote',
      'churn/2',
      '--reason',
      'better',
      '--if-current',
      '1',
    ]);
    expect(promoted).toMatchObject({ code: 0 });
    expect(promoted.out).toBe('churn/2 is Production now, instead of 1; serving: ready');
    expect((await slipway(['predict', 'churn', '--input', '-'], '{"X": [[3], [4]]}')).out).toBe(
      'predict\n2\n2',
    );
    const raced = await slipway(['promote', 'churn/1', '--if-current', '1']);
    expect(raced).toMatchObject({ code: 1, out: '' });
    expect(raced.errors).toContain('next: slipway show churn');
    const rolled = await slipway(['rollback', 'churn', '--json']);
    expect(JSON.parse(rolled.out)).toMatchObject({ transition: { version: 1 }, serving: 'ready' });
    const nothing = await slipway(['rollback', 'churn']);
    expect(nothing.code).toBe(1);
    expect(nothing.errors).toContain('next: slipway promote churn/VERSION');
  });

  it('lists and shows', async () => {
    const { out } = await slipway(['ls', '--filter', "name = 'churn'"]);
    expect(out.split('\n')).toHaveLength(2);
    expect(out).toMatch(/^churn +2 +1 /m);
    const versions = await slipway(['versions', 'churn', '--json']);
    expect(JSON.parse(versions.out).map((v: { version: number }) => v.version)).toEqual([2, 1]);
    const shown = await slipway(['show', 'churn']);
    expect(shown.out).toContain('follows production, wants 1, answers with 1');
    expect(shown.out).toMatch(/rollback, version 1: Archived → Production \(instead of 2\)/);
    expect((await slipway(['show', 'churn/1'])).out).toContain('auc=0.7');
  });

  it('compares versions', async () => {
    const { out } = await slipway(['diff', 'churn/1', 'churn/2']);
    expect(out).toContain('~ model.json');
    expect(out).toContain('~ auc  0.7 → 0.8  (+0.1)');
    expect(out).toContain('- trees  1');
    expect((await slipway(['diff', 'churn/1', 'churn/1'])).out).toContain('no difference');
    const json = JSON.parse((await slipway(['diff', 'churn/1', 'churn/2', '--json'])).out);
    expect(json).toMatchObject({ metrics: [{ name: 'auc', from: 0.7, to: 0.8 }], signature: [] });
  });

  it('moves aliases', async () => {
    expect((await slipway(['alias', 'churn/2', 'champion'])).out).toContain(
      'churn/2 is @champion now',
    );
    expect((await slipway(['alias', 'ls', 'churn'])).out).toContain('churn/2');
    const predicted = await slipway(
      ['predict', 'churn@champion', '--input', '-', '--json'],
      'a\n1\n\n',
    );
    expect(JSON.parse(predicted.out)).toEqual({
      model: 'churn',
      version: 2,
      outputs: { predict: [2] },
    });
    expect((await slipway(['alias', 'rm', 'churn', 'champion'])).out).toBe(
      '@champion of churn is removed',
    );
    const gone = await slipway(['show', 'churn@champion']);
    expect(gone).toMatchObject({ code: 1, out: '' });
    expect(gone.errors).toContain('next: slipway versions churn');
  });

  it('pulls, and pulls again', async () => {
    const target = join(folder, 'pulled');
    expect(await slipway(['pull', 'churn/1', target])).toMatchObject({ code: 0, out: target });
    expect(await readFile(join(target, 'model.json'))).toEqual(constantModel(1));
    expect((await slipway(['pull', 'churn/1', target])).errors).toContain('of it was there');
  });

  it('collects garbage', async () => {
    expect((await slipway(['gc', '--dry-run', '--grace', '7d'])).out).toContain(
      'would remove 0 blobs',
    );
    const collected = JSON.parse((await slipway(['gc', '--json'])).out);
    expect(collected).toMatchObject({ blobs: 0, uploads: 0, bytes: 0 });
  });

  it('says what went wrong and what to type next', async () => {
    await writeFile(join(folder, 'junk.json'), '{"no": "model"}');
    const junk = await slipway(['log', 'junk', join(folder, 'junk.json'), '--promote']);
    expect(junk).toMatchObject({ code: 1, out: '1' });
    expect(junk.errors).toContain('junk/1 is unsupported');
    expect(junk.errors).toContain('next: slipway show junk/1');
    const nobody = await slipway(['show', 'nobody']);
    expect(nobody).toMatchObject({ code: 1, out: '' });
    expect(nobody.errors).toMatch(
      /^error: The model "nobody" does not exist\..*\nnext: slipway ls$/,
    );
    const wrong = await slipway(['predict', 'churn', '--input', '-'], '[[1, 2]]');
    expect(wrong.code).toBe(1);
    expect(wrong.errors).toContain('next: slipway show churn/production');
    const json = await slipway(['show', 'nobody', '--json']);
    expect(JSON.parse(json.errors)).toMatchObject({
      error: { status: 404, code: 'NOT_FOUND', next: 'slipway ls' },
    });
  });

  it.each([
    [['log', 'x', 'missing.onnx'], 'no such file'],
    [['log', 'x', CLI, '--metric', 'auc'], 'name=value'],
    [['log', 'x', CLI, '--metric', 'auc=high'], 'not a number'],
    [['promote', 'churn'], 'slipway versions churn'],
    [['promote', 'churn/1', '--stage', 'Prod'], 'Production, Staging'],
    [['show', 'a/b/c'], 'NAME/3'],
    [['predict', 'churn'], '--input'],
    [['predict', 'churn', '--input', 'missing.json'], 'cannot be read'],
    [['nonsense'], 'unknown command'],
    [['ls', '--url', 'here'], 'no address'],
    [['gc', '--grace', 'long'], '1h'],
  ])('%j is wrong usage', async (args, message) => {
    const { code, out, errors } = await slipway(args);
    expect([code, out]).toEqual([2, '']);
    expect(errors).toContain(message);
  });

  it('says when no server answers', async () => {
    const url = `http://127.0.0.1:${await freePort('127.0.0.1')}`;
    const { code, errors } = await slipway(['ls', '--url', url]);
    expect(code).toBe(69);
    expect(errors).toContain(`No Slipway server answers at ${url}`);
    expect(errors).toContain('next: slipway start');
  });

  it('explains itself', async () => {
    const help = await slipway(['--help']);
    expect(help.code).toBe(0);
    for (const name of [
      'start',
      'log',
      'ls',
      'show',
      'versions',
      'promote',
      'rollback',
      'alias',
      'predict',
      'pull',
      'diff',
      'gc',
    ])
      expect(help.out).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    expect((await slipway(['predict', '--help'])).out).toContain('CSV with a header');
  });

  it('ends in peace when nobody reads on, as before `| head`', async () => {
    const child = spawn(process.execPath, [CLI, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    expect(await text(child.stderr)).toBe('');
    expect(await exitOf(child)).toBe(0);
  });

  it('starts a server and stops it', async () => {
    const port = await freePort('127.0.0.1');
    const child = spawn(
      process.execPath,
      [
        CLI,
        'start',
        '--port',
        String(port),
        '--serving-port',
        '0',
        '--data-dir',
        join(folder, 'data'),
      ],
      { env: { ...process.env, DATABASE_URL: 'postgres://nobody@127.0.0.1:9/none' } },
    );
    // Nothing listens there: the server says so and ends, and the command with its code.
    expect(await text(child.stderr)).toContain('Cannot use PostgreSQL');
    expect(await exitOf(child)).toBe(69);
  });
});
