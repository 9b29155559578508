import { spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { exitOf } from './support/processes.js';
import { Product } from './support/product.js';

const CLI = join('dist', 'apps', 'cli', 'main.js');
const model = join('examples', 'tumour', '1', 'model.json');
const example = join('examples', 'tumour', '1', 'example.json');
const iris = join('examples', 'iris', '1');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-local-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface Ended {
  code: number | null;
  out: string;
  errors: string;
}

/** Types a command where no server is, unless it is named. */
async function slipway(args: string[], input = '', url = 'http://127.0.0.1:1'): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env.PATH, TMPDIR: folder, XDG_CACHE_HOME: folder, SLIPWAY_URL: url },
  });
  child.stdin.end(input);
  const [out, errors, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    exitOf(child),
  ]);
  return { code, out: out.trimEnd(), errors: errors.trimEnd() };
}

const local = (path: string, input: string, ...more: string[]) =>
  slipway(['predict', '--local', path, '--input', '-', ...more], input);

describe('slipway predict --local', () => {
  it('answers the golden rows of a model file, in V2', async () => {
    const { inputExample } = JSON.parse(await readFile(example, 'utf8')) as {
      inputExample: { inputs: unknown[]; expected: { name: string; data: number[] }[] };
    };
    const { code, out } = await local(
      model,
      JSON.stringify({ id: 'a', inputs: inputExample.inputs }),
      '--json',
    );
    expect(code).toBe(0);
    const [expected] = inputExample.expected;
    expect(JSON.parse(out)).toMatchObject({
      id: 'a',
      outputs: [{ name: expected?.name, data: expected?.data }],
    });
  });

  it('takes what the other forms of predict take', async () => {
    const row = JSON.stringify([Array(30).fill(1)]);
    const { out } = await local(model, row, '--output', 'margin');
    expect(out).toMatch(/^margin\n-?\d/);
    const csv = await local(iris, 'a,b,c,d\n5.1,3.5,1.4,0.2\n');
    expect(csv).toMatchObject({ code: 0 });
  });

  it('runs ONNX', async () => {
    const got = await local(
      join(iris, 'model.onnx'),
      await readFile(join(iris, 'example.json'), 'utf8'),
      '--json',
    );
    expect(got).toMatchObject({ code: 0, errors: '' });
    expect(JSON.parse(got.out)).toMatchObject({ model_version: 'local' });
  });

  it.each([
    ['a wrong shape', '[[1, 2]]', 1, 'has 2 columns and must have 30'],
    ['no JSON', '{"X": [', 2, 'standard input: '],
    ['an unknown input', '{"Y": [1]}', 1, 'Y'],
  ])('says what is wrong: %s', async (_, input, code, message) => {
    const got = await local(model, input);
    expect(got).toMatchObject({ code, out: '' });
    expect(got.errors).toMatch(new RegExp(message));
  });

  it('says what is wrong as the server does', async () => {
    const server = await Product.start();
    try {
      await slipway(['log', 'tumour', model, '--promote'], '', server.url);
      for (const input of [
        '[[1, 2]]',
        '{"inputs": [{"name": "X", "shape": [1, 30], "datatype": "BYTES", "data": []}]}',
      ]) {
        const there = await slipway(
          ['predict', 'tumour', '--input', '-', '--json'],
          input,
          server.url,
        );
        const here = await local(model, input, '--json');
        const { next: _, ...error } = JSON.parse(there.errors).error;
        expect(JSON.parse(here.errors).error).toEqual(error);
      }
      const pulled = join(folder, 'pulled');
      await slipway(['pull', 'tumour/1', pulled], '', server.url);
      const row = JSON.stringify([Array(30).fill(1)]);
      const asked = await slipway(['predict', 'tumour', '--input', '-'], row, server.url);
      expect((await local(pulled, row)).out).toBe(asked.out);
    } finally {
      await server.remove();
    }
  }, 60_000);

  it('refuses what is no model', async () => {
    expect(await local(join(folder, 'nothing'), '[]')).toMatchObject({ code: 2 });
    const junk = join(folder, 'junk.json');
    await writeFile(junk, '{"no": "model"}');
    const { code, errors } = await local(junk, '[]');
    expect(code).toBe(1);
    expect(errors).toContain(
      'junk.json is unsupported: None of the files is of a supported format',
    );
    await mkdir(join(folder, 'linked'));
    await symlink('/etc/hostname', join(folder, 'linked', 'model.json'));
    expect(await local(join(folder, 'linked'), '[]')).toMatchObject({ code: 2 });
  });
});

describe('slipway convert', () => {
  it('writes a Program that answers the same', async () => {
    const target = join(folder, 'program');
    const converted = await slipway(['convert', model, '--to', 'program', '-o', target]);
    expect(converted).toMatchObject({ code: 0, out: target });
    const row = JSON.stringify([Array(30).fill(1)]);
    expect((await local(target, row)).out).toBe((await local(model, row)).out);
    const again = join(folder, 'again');
    await slipway(['convert', target, '--to', 'program', '-o', again]);
    for (const name of ['program.json', 'weights.bin'])
      expect(await readFile(join(again, name))).toEqual(await readFile(join(target, name)));
  });

  it('refuses a damaged Program, and one that names files elsewhere', async () => {
    const target = join(folder, 'damaged');
    await slipway(['convert', join(iris, 'model.onnx'), '--to', 'program', '-o', target, '--json']);
    const program = JSON.parse(await readFile(join(target, 'program.json'), 'utf8'));
    const change = (members: object) =>
      writeFile(join(target, 'program.json'), JSON.stringify({ ...program, ...members }));
    await change({ schemaVersion: 2 });
    expect((await local(target, '[]')).errors).toContain('schemaVersion');
    await copyFile(model, join(folder, 'outside'));
    await change({ files: [{ path: '../outside', size: 1 }] });
    expect((await local(target, '[]')).errors).toContain('must lead to a file below');
  });

  it('writes ONNX, and says what it cannot write', async () => {
    const target = join(folder, 'onnx');
    const done = await slipway([
      'convert',
      join(iris, 'model.onnx'),
      '--to',
      'onnx',
      '-o',
      target,
      '--json',
    ]);
    expect(JSON.parse(done.out)).toMatchObject({
      folder: target,
      format: 'onnx',
      files: ['model.onnx'],
    });
    expect(await readFile(join(target, 'model.onnx'))).toEqual(
      await readFile(join(iris, 'model.onnx')),
    );
    const opinions = join('test', 'fixtures', 'journey', 'opinions.pkl');
    const refused = await slipway(['convert', opinions, '--to', 'onnx', '-o', target]);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.errors).toContain('node 0, the kernel "count-terms", has no form in ONNX');
    const written = join(folder, 'written');
    await slipway(['convert', model, '--to', 'onnx', '-o', written]);
    expect((await readFile(join(written, 'model.onnx'))).length).toBeGreaterThan(1000);
    expect((await slipway(['convert', model, '--to', 'pmml', '-o', target])).code).toBe(2);
  });
});
