import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { constantModel } from './support/models.js';
import { startRegistry, type TestRegistry } from './support/registry.js';

interface Document {
  paths: Record<string, Record<string, unknown>>;
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

interface Problem {
  status: number;
  code: string;
  detail: string;
  errors?: { pointer: string; message: string }[];
}

const { paths } = JSON.parse(readFileSync('openapi/registry.json', 'utf8')) as Document;

let registry: TestRegistry;
let digest: string;
beforeAll(async () => {
  registry = await startRegistry();
  await registry.logVersion('victim', constantModel(1));
  digest = await registry.upload(Buffer.from('a file'));
}, 60_000);
afterAll(() => registry.close());

/** A request as it stands: no client library mends its path. */
function send(method: string, path: string, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(registry.url);
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const outgoing = request({ hostname, port, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject).on('end', () => {
        const { statusCode = 0, headers: got } = response;
        resolve({ status: statusCode, headers: got, text: Buffer.concat(chunks).toString() });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Holds an answer against what every refusal promises. */
function expectRefusal({ status, headers, text }: Answer, what: string): Problem {
  expect([what, status, text]).toEqual([what, expect.any(Number), expect.any(String)]);
  if (status < 400 || status >= 500) throw new Error(`${what} was answered ${status}: ${text}`);
  expect(headers['content-type']).toMatch(/^application\/problem\+json/);
  const problem = JSON.parse(text) as Problem;
  expect(problem).toMatchObject({ status, code: expect.stringMatching(/^[A-Z_]+$/) });
  expect(problem.detail.length).toBeGreaterThan(10);
  return problem;
}

const tensor = () => ({ name: 'X', shape: [1, 1], datatype: 'FP32', data: [1] });

/** For each route with a body, one that is right. */
const bodies: [string, string, () => object][] = [
  [
    'POST',
    '/models',
    () => ({ name: 'n', description: 'd', tags: { a: 'b' }, metadata: { a: 1 } }),
  ],
  [
    'PATCH',
    '/models/victim',
    () => ({
      name: 'victim',
      description: 'd',
      tags: { a: 'b' },
      metadata: { a: 1 },
      follow: 'production',
    }),
  ],
  [
    'POST',
    '/models/victim/versions',
    () => ({
      files: [{ path: 'a.txt', digest }],
      format: 'onnx',
      description: 'd',
      tags: { a: 'b' },
      metadata: { a: 1 },
      signature: {
        inputs: [{ name: 'x', dtype: 'FP32', shape: [-1, 4] }],
        outputs: [{ name: 'y', dtype: 'FP32', shape: [-1] }],
        defaultOutputs: ['y'],
      },
      inputExample: {
        id: '1',
        inputs: [tensor()],
        parameters: { a: 1 },
        outputs: [{ name: 'y' }],
        expected: [tensor()],
        tolerance: { rtol: 1e-6, atol: 0 },
      },
      metrics: { a: 1 },
      params: { a: 'b' },
      lineage: {
        run: 'r',
        datasets: [{ name: 'i', digest: 'd', source: 's' }],
        parents: [{ model: 'victim', version: 1 }],
      },
    }),
  ],
  [
    'PATCH',
    '/models/victim/versions/1',
    () => ({ description: 'd', tags: { a: 'b' }, metadata: { a: 1 } }),
  ],
  [
    'POST',
    '/models/victim/versions/1/promote',
    () => ({ stage: 'Staging', reason: 'r', ifCurrent: 1, wait: 0, unserved: true }),
  ],
  ['POST', '/models/victim/rollback', () => ({ reason: 'r', ifCurrent: 1, wait: 0 })],
  [
    'PUT',
    '/models/victim/aliases/al',
    () => ({ version: 1, reason: 'r', ifCurrent: 1, wait: 0, unserved: true }),
  ],
  ['POST', '/gc', () => ({ graceSeconds: 100_000, dryRun: true })],
];

type Path = (string | number)[];

/** Every place inside a value. */
function placesOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  const inner = Object.entries(value).flatMap(([key, part]) => placesOf(part, [...at, key]));
  return [at, ...inner];
}

function replaced(value: unknown, [first, ...rest]: Path, by: unknown): unknown {
  if (first === undefined) return by;
  const copy = (
    Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) }
  ) as Record<string | number, unknown>;
  copy[first] = replaced(copy[first], rest, by);
  return copy;
}

/** Stands for JSON that JavaScript cannot write. */
const raw = (text: string) => `@raw ${text} raw@`;
const written = (body: unknown) =>
  JSON.stringify(body).replace(
    /"@raw (.*?) raw@"/g,
    (_, text: string) => JSON.parse(`"${text}"`) as string,
  );

const hostile: unknown[] = [
  null,
  true,
  -1,
  1.5,
  1e300,
  '',
  'a\u0000b',
  '\ud800',
  'x'.repeat(150_000),
  [],
  [null],
  {},
  { a: null },
  { constructor: 1, toString: null, hasOwnProperty: [] },
  { 'a\u0000': 'x' },
  { a: '\udfff' },
  2 ** 31,
  raw('123456789012345678901234567890'),
  raw('9007199254740993'),
  raw('1e400'),
  raw('{"x-\\u005f_proto__":1}'),
  "'; DROP TABLE model_version; --",
];

/** Fields of lists inside objects are many, and read by the same code. */
const hostileDeepDown = [null, 1.5, '', 'a\u0000b', [], { a: null }, raw('1e400')];

describe('the fields of a body', () => {
  it.each(bodies)(
    '%s %s take no harm from what does not belong there',
    async (method, path, make) => {
      const body = make();
      for (const place of placesOf(body)) {
        for (const value of place.length > 2 ? hostileDeepDown : hostile) {
          // An empty body is no fault, and a promotion without `wait` takes five seconds.
          if (place.length === 0 && JSON.stringify(value) === '{}') continue;
          const text = written(replaced(body, place, value));
          const what = `${method} ${path} /${place.join('/')} = ${String(JSON.stringify(value)).slice(0, 60)}`;
          const answer = await send(method, `/api/v1${path}`, text);
          if (answer.status < 300) continue;
          const { status, errors, detail } = expectRefusal(answer, what);
          if (status !== 400) continue;
          // What is wrong is said where it is: at the place, or inside what was put there, or at what holds it.
          const pointer = `/${place.join('/')}`;
          const near = errors?.some(
            (e) =>
              e.pointer !== '' && (e.pointer.startsWith(pointer) || pointer.startsWith(e.pointer)),
          );
          if (place.length > 0 && !near)
            throw new Error(`${what}: ${detail} at ${JSON.stringify(errors)}`);
        }
      }
      // The server is as it was: the right body is still no fault.
      const after = await send(method, `/api/v1${path}`, JSON.stringify(body));
      expect(after.status).not.toBe(500);
    },
    60_000,
  );

  it('take no harm from any JSON', async () => {
    const fields = bodies.flatMap(([method, path, make]) =>
      placesOf(make())
        .filter((place) => place.length > 0)
        .map((place) => ({ method, path, make, place })),
    );
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' }),
      fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), { maxKeys: 3 }),
      fc.string({ unit: 'binary' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...fields),
        value,
        async ({ method, path, make, place }, put) => {
          const text = JSON.stringify(replaced(make(), place, put));
          const answer = await send(method, `/api/v1${path}`, text);
          if (answer.status >= 300) expectRefusal(answer, text);
        },
      ),
      { numRuns: 300 },
    );
  }, 60_000);

  it('that are not given are left out, not null', async () => {
    const wrong: [string, string, string][] = [
      ['POST', '/models', '{"name":"nil","description":null}'],
      ['POST', '/models', '{"name":"nil","tags":null}'],
      ['POST', '/models', '{"name":"nil","metadata":null}'],
      ['PATCH', '/models/victim', '{"name":null}'],
      ['PATCH', '/models/victim', '{"follow":null}'],
      [
        'POST',
        '/models/victim/versions',
        `{"files":[{"path":"a","digest":"${digest}"}],"lineage":null}`,
      ],
      [
        'POST',
        '/models/victim/versions',
        `{"files":[{"path":"a","digest":"${digest}"}],"signature":null}`,
      ],
    ];
    for (const [method, path, body] of wrong) {
      const { errors } = expectRefusal(await send(method, `/api/v1${path}`, body), body);
      expect(errors?.[0]?.message).toContain('got null');
    }
  });

  it('keep no text otherwise than it was sent', async () => {
    for (const value of [
      '\u0000',
      '\ud800',
      { deep: ['\udc00'] },
      { 'k\u0000': 1 },
      raw('-1e999'),
    ]) {
      const body = written({ name: 'altered', metadata: { value } });
      const { errors } = expectRefusal(await send('POST', '/api/v1/models', body), body);
      expect(errors?.[0]?.pointer).toMatch(/^\/metadata\/value/);
    }
    await registry.http.get('/api/v1/models/altered').expect(404);
  });

  it('are refused soon, however many and however long they are', async () => {
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 1]));
    const long = { ['k'.repeat(10 ** 7)]: 1, name: 'x'.repeat(10 ** 7) };
    const large = { name: 'large', metadata: { text: 'x'.repeat(2 ** 20) } };
    const files = Array.from({ length: 200_000 }, () => ({}));
    const begun = Date.now();
    for (const body of [many, { tags: many, name: 'n' }, long, large]) {
      const answer = await send('POST', '/api/v1/models', JSON.stringify(body));
      const { errors = [] } = expectRefusal(answer, 'many');
      expect(errors.length).toBeLessThanOrEqual(100);
      expect(answer.text.length).toBeLessThan(100_000);
    }
    const answer = await send('POST', '/api/v1/models/n/versions', JSON.stringify({ files }));
    expect(expectRefusal(answer, 'files').errors?.[0]?.pointer).toBe('/files');
    expect(Date.now() - begun).toBeLessThan(15_000);
  }, 30_000);

  it('may be paths in many folders', async () => {
    const paths = Array.from({ length: 5_000 }, (_, i) => `${'a/'.repeat(500)}${i}`);
    const files = [...paths, `${'a/'.repeat(499)}a`].map((path) => ({ path, digest }));
    const begun = Date.now();
    const answer = await send('POST', '/api/v1/models/deep/versions', JSON.stringify({ files }));
    const { errors } = expectRefusal(answer, 'deep');
    expect(errors).toHaveLength(100);
    expect(errors?.[0]).toMatchObject({
      pointer: '/files/0/path',
      message: expect.stringContaining('which is a file'),
    });
    expect(Date.now() - begun).toBeLessThan(5_000);
  }, 30_000);

  it('say which entry of a map is wrong', async () => {
    const body = JSON.stringify({ name: 'map', tags: { fine: 'a', wrong: 1 } });
    const { errors } = expectRefusal(await send('POST', '/api/v1/models', body), body);
    expect(errors).toEqual([
      { pointer: '/tags', message: expect.stringContaining('the value of "wrong" is wrong') },
    ]);
  });
});

describe('an input example', () => {
  const create = (inputExample: unknown) =>
    send(
      'POST',
      '/api/v1/models/examples/versions',
      JSON.stringify({ files: [{ path: 'a.txt', digest }], inputExample }),
    );

  it.each([
    [{ inputs: [{ ...tensor(), datatype: 'FLOAT' }] }, '/inputExample/inputs/0/datatype'],
    [{ inputs: [{ ...tensor(), data: [1, 2] }] }, '/inputExample/inputs/0/data'],
    [{ inputs: [5] }, '/inputExample/inputs/0'],
    [
      { inputs: [tensor()], expected: [{ ...tensor(), shape: [-1] }] },
      '/inputExample/expected/0/shape/0',
    ],
  ])('%j is refused before anything is made', async (example, pointer) => {
    const { errors } = expectRefusal(await create(example), pointer);
    expect(errors?.[0]?.pointer).toBe(pointer);
    await registry.http.get('/api/v1/models/examples').expect(404);
  });

  it('may be a whole V2 request, with 64-bit integers', async () => {
    const { status, text } = await send(
      'POST',
      '/api/v1/models/whole/versions',
      `{"files":[{"path":"a.txt","digest":"${digest}"}],"metrics":{"tokens":9007199254740993},"inputExample":{"id":"a","inputs":
       [{"name":"x","shape":[1],"datatype":"INT64","data":[9007199254740993]}],"outputs":[{"name":"y"}]}}`,
    );
    expect([status, text]).toEqual([201, expect.any(String)]);
    expect(text).toMatch(/"tokens":9007199254740993\b/);
    expect(text).toMatch(/"data":\[9007199254740993\]/);
  });
});

/** What may stand in a path, after its percent-encoding. */
const segments = [
  '%00',
  'a%00b',
  '%ff',
  '%E0%A4%A',
  '%',
  '%ED%A0%80',
  '..',
  '%2e%2e',
  '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  '%5c',
  'x'.repeat(3000),
  '%F0%9F%9A%80',
  "'%3B--",
  '__proto__',
  'constructor',
  '0',
  '-1',
  '99999999999999999999',
  '1e3',
  '@',
  '@%00',
  'sha256:xyz',
  '00000000-0000-0000-0000-000000000000',
];

describe('the parts of a path', () => {
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method): [string, string] => [method.toUpperCase(), path]),
  );
  const dangerous = routes.filter(([, path]) => path.includes('{'));

  it.each(dangerous)(
    '%s %s are refused where they name nothing',
    async (method, path) => {
      const holes = path.match(/\{\w+\}/g) ?? [];
      for (const [hole, name] of holes.entries()) {
        for (const segment of segments) {
          // The others name what exists, so that this one is reached.
          let at = 0;
          const filled = path.replace(/\{(\w+)\}/g, (_, other: string) => {
            const known = {
              model: 'victim',
              version: '1',
              path: 'model.json',
              digest,
              alias: 'al',
            };
            return at++ === hole ? segment : (known[other as keyof typeof known] ?? 'x');
          });
          const answer = await send(method, filled, /GET|HEAD/.test(method) ? undefined : '{}');
          const what = `${method} ${filled.slice(0, 200)} (${name})`;
          // Predictions are passed on to serving, of which there is none here.
          if (path.endsWith('/infer') && answer.status === 503) continue;
          if (answer.status >= 300 && method !== 'HEAD') expectRefusal(answer, what);
          expect([what, answer.status]).toEqual([what, expect.any(Number)]);
          if (answer.status >= 500) throw new Error(`${what}: ${answer.status}`);
        }
      }
    },
    60_000,
  );

  it('may be a number of a version as large as one likes', async () => {
    for (const number of ['2147483648', '1000000000', '9'.repeat(400)]) {
      await registry.http.get(`/api/v1/models/victim/versions/${number}`).expect(404);
    }
  });

  it('with a broken percent-encoding are told so', async () => {
    const problem = expectRefusal(await send('GET', '/api/v1/models/%ff'), '%ff');
    expect(problem).toMatchObject({
      status: 400,
      detail: expect.stringContaining('percent-encoding'),
    });
  });
});

describe('methods', () => {
  const known: Record<string, string> = {
    model: 'victim',
    version: '1',
    path: 'model.json',
    alias: 'al',
  };
  const fill = (path: string) =>
    path.replace(/\{(\w+)\}/g, (_, name: string) =>
      name === 'digest' ? digest : (known[name] ?? 'x'),
    );

  it('that a path does not have are 405 and say which it has', async () => {
    for (const [path, methods] of Object.entries(paths)) {
      const has = Object.keys(methods).map((method) => method.toUpperCase());
      for (const method of [
        'GET',
        'POST',
        'PUT',
        'PATCH',
        'DELETE',
        'OPTIONS',
        'PROPFIND',
        'TRACE',
      ]) {
        // `GET /blobs/uploads` asks for the blob with the digest `uploads`.
        const isDigest = method === 'GET' && /\/blobs\/(uploads|verify)$/.test(path);
        if (has.includes(method) || isDigest) continue;
        const answer = await send(method, fill(path));
        expect([method, path, answer.status]).toEqual([method, path, 405]);
        expectRefusal(answer, path);
        const allow = String(answer.headers.allow).split(', ');
        expect(allow).toEqual(expect.arrayContaining(has));
        expect(allow).not.toContain(method);
      }
    }
  });

  it('HEAD answers wherever GET does, without a body and without an end to wait for', async () => {
    for (const [path, methods] of Object.entries(paths)) {
      if (!('get' in methods)) continue;
      const head = await send('HEAD', fill(path));
      expect([path, head.text]).toEqual([path, '']);
      if (path.endsWith('/events')) {
        expect([head.status, head.headers['content-type']]).toEqual([200, 'text/event-stream']);
        continue;
      }
      const get = await send('GET', fill(path));
      expect([path, head.status]).toEqual([path, get.status]);
      expect(head.headers['content-type']).toBe(get.headers['content-type']);
    }
  });
});
