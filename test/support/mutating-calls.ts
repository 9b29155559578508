import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { constantModel } from './models.js';
import type { RegistryState } from './registry-state.js';
import { digestOf } from './registry.js';

/** A request as a test sends it; an object is sent as JSON, a buffer as it is. */
export interface Call {
  method: string;
  path: string;
  body?: object;
  headers?: Record<string, string>;
  /** What happens while the request runs. */
  meanwhile?: () => Promise<void>;
}

export interface Answer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

/** What a call is prepared with. */
export interface Bench {
  send: (call: Call) => Promise<Answer>;
  state: RegistryState;
}

/** One way to call a mutating route of the API on the models of {@link makeModels}. */
export interface MutatingCall {
  /** As the OpenAPI document writes it. */
  route: string;
  what: string;
  /** Of the answer where nothing fails. */
  status: number;
  prepare(bench: Bench): Promise<Call>;
  /** Whether it writes to the store or removes from it, so that it may leave garbage. */
  leaves?: true;
  /** What a client does that got no good answer; by default it sends the same again. */
  again?(bench: Bench, call: Call): Promise<Answer>;
  /** Whether an answer to the second call says truly that the first one has done it. */
  isDone?(answer: Answer): boolean;
}

/** Mutating routes without calls, and why. */
export const excluded: Record<string, string> = {
  'POST /api/v1/models/{model}/infer': 'passes a request on to serving; changes nothing',
  'POST /api/v1/models/{model}/versions/{version}/infer': 'as above',
};

/** Every POST, PUT, PATCH and DELETE of the registry's OpenAPI document. */
export function mutatingRoutes(): string[] {
  const { paths } = JSON.parse(readFileSync('openapi/registry.json', 'utf8')) as {
    paths: Record<string, Record<string, unknown>>;
  };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((method) => ['post', 'put', 'patch', 'delete'].includes(method))
      .map((method) => `${method.toUpperCase()} ${path}`),
  );
}

const MiB = 1024 * 1024;
/** Not what any other blob is. */
export const bytesOf = (size: number, seed: number): Buffer =>
  Buffer.alloc(size, Buffer.from(`${seed} `.padEnd(61, String(seed))));

/**
 * `m`: versions 1 to 4, of which 1, 2, 3 were in Production one after the other, and @old names 1; `f`: follows @champion,
 * which was 1 and is 2.
 */
export async function makeModels({ send }: Bench): Promise<void> {
  const post = async (path: string, body: object): Promise<Answer> =>
    expectStatus([200, 201], await send({ method: 'POST', path: `/api/v1/models/${path}`, body }));
  const put = async (path: string, body: object): Promise<Answer> =>
    expectStatus([200], await send({ method: 'PUT', path: `/api/v1/models/${path}`, body }));
  const log = async (model: string, value: number): Promise<void> => {
    const digest = await upload({ send }, constantModel(value));
    const { body } = await post(`${model}/versions`, { files: [{ path: 'model.json', digest }] });
    const path = `/api/v1/models/${model}/versions/${String(body.version)}`;
    for (;;) {
      const version = await send({ method: 'GET', path });
      const { state } = version.body.serving as { state: string };
      if (state === 'servable') return;
      if (state !== 'pending') throw new Error(JSON.stringify(version.body));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  for (const value of [1, 2, 3, 4]) await log('m', value);
  for (const version of [1, 2, 3]) await post(`m/versions/${version}/promote`, { wait: 0 });
  await put('m/aliases/old', { version: 1, wait: 0 });
  for (const value of [1, 2]) await log('f', value);
  const follow = { follow: '@champion' };
  expectStatus([200], await send({ method: 'PATCH', path: '/api/v1/models/f', body: follow }));
  for (const version of [1, 2]) await put('f/aliases/champion', { version, wait: 0 });
}

const post = (path: string, body: object = {}): Call => ({
  method: 'POST',
  path: `/api/v1/${path}`,
  body,
  headers: { 'idempotency-key': 'the-same' },
});
const call = (method: string, path: string, body?: object): Call => ({
  method,
  path: `/api/v1/${path}`,
  ...(body && { body }),
});
const isGone = ({ status }: Answer): boolean => status === 404;
const always = (made: Call) => async (): Promise<Call> => made;

const ofModels: MutatingCall[] = [
  {
    route: 'POST /api/v1/models',
    what: 'a new model',
    status: 201,
    prepare: always(post('models', { name: 'new', tags: { a: 'b' }, metadata: { c: 1 } })),
  },
  {
    route: 'PATCH /api/v1/models/{model}',
    what: 'a new name',
    status: 200,
    prepare: always(call('PATCH', 'models/m', { name: 'renamed', description: 'new' })),
    // Of the old name.
    isDone: isGone,
  },
  {
    route: 'PATCH /api/v1/models/{model}',
    what: 'what it follows',
    status: 200,
    prepare: always(call('PATCH', 'models/m', { follow: '@old', tags: { a: 'b' } })),
    // Changes are counted: a repeated one is one more.
    again: onceUnless(async ({ state }) => (await followOf(state)) === '@old'),
  },
  {
    route: 'DELETE /api/v1/models/{model}',
    what: 'one that is served',
    status: 204,
    prepare: always(call('DELETE', 'models/m?force=true')),
    isDone: isGone,
  },
];

const ofVersions: MutatingCall[] = [
  {
    route: 'POST /api/v1/models/{model}/versions',
    what: 'the next version of a model',
    status: 201,
    prepare: async (bench) => {
      const [a, b] = [await upload(bench, bytesOf(10, 1)), await upload(bench, bytesOf(10, 2))];
      return post('models/m/versions', {
        files: [
          { path: 'a', digest: a },
          { path: 'b/c', digest: b },
        ],
        metrics: { auc: 0.9 },
        lineage: {
          run: 'r',
          datasets: [{ name: 'd', digest: 'x' }],
          parents: [{ model: 'f', version: 1 }],
        },
      });
    },
  },
  {
    route: 'POST /api/v1/models/{model}/versions',
    what: 'the first version of a new model',
    status: 201,
    prepare: async (bench) => {
      const digest = await upload(bench, bytesOf(10, 3));
      return post('models/new/versions', { files: [{ path: 'a', digest }] });
    },
  },
  {
    route: 'PATCH /api/v1/models/{model}/versions/{version}',
    what: 'description and tags',
    status: 200,
    prepare: always(call('PATCH', 'models/m/versions/2', { description: 'x', tags: { a: 'b' } })),
    again: onceUnless(async ({ state }) => {
      const described = `SELECT 1 FROM model_version WHERE description = 'x'`;
      return (await state.query(described)).length > 0;
    }),
  },
  {
    route: 'DELETE /api/v1/models/{model}/versions/{version}',
    what: 'one with an alias',
    status: 204,
    prepare: always(call('DELETE', 'models/m/versions/1')),
    isDone: isGone,
  },
  {
    route: 'POST /api/v1/models/{model}/versions/{version}/check',
    what: 'a servable version',
    status: 202,
    prepare: always(post('models/m/versions/2/check')),
  },
];

const ofStages: MutatingCall[] = [
  {
    route: 'POST /api/v1/models/{model}/versions/{version}/promote',
    what: 'to Production',
    status: 200,
    prepare: always(post('models/m/versions/4/promote', { wait: 0, reason: 'r', ifCurrent: 3 })),
  },
  {
    route: 'POST /api/v1/models/{model}/versions/{version}/promote',
    what: 'to Staging',
    status: 200,
    prepare: always(post('models/m/versions/@old/promote', { wait: 0, stage: 'Staging' })),
  },
  {
    route: 'POST /api/v1/models/{model}/versions/{version}/promote',
    what: 'to Production, while it is compiled, and waiting for serving',
    status: 200,
    prepare: async ({ state }) => {
      const [row] = await state.query<{ id: string }>(
        `UPDATE model_version SET serving_state = 'pending'
         WHERE version = 4 AND model_id = (SELECT id FROM registered_model WHERE name = 'm') RETURNING id`,
      );
      await state.query(`INSERT INTO compile_job (version_id) VALUES ($1)`, [row?.id]);
      const meanwhile = async (): Promise<void> => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        await state.query(
          `WITH ended AS (DELETE FROM compile_job WHERE version_id = $1)
           UPDATE model_version SET serving_state = 'servable' WHERE id = $1`,
          [row?.id],
        );
      };
      return { ...post('models/m/versions/latest/promote', { wait: 0.15 }), meanwhile };
    },
  },
  {
    route: 'POST /api/v1/models/{model}/rollback',
    what: 'Production',
    status: 200,
    prepare: always(post('models/m/rollback', { wait: 0 })),
  },
  {
    route: 'POST /api/v1/models/{model}/rollback',
    what: 'the alias that is followed',
    status: 200,
    prepare: always(post('models/f/rollback', { wait: 0 })),
  },
  {
    route: 'PUT /api/v1/models/{model}/aliases/{alias}',
    what: 'a new one',
    status: 200,
    prepare: always(call('PUT', 'models/m/aliases/new', { version: 'production', wait: 0 })),
  },
  {
    route: 'PUT /api/v1/models/{model}/aliases/{alias}',
    what: 'the one that is followed',
    status: 200,
    prepare: always(call('PUT', 'models/f/aliases/champion', { version: 1, wait: 0 })),
  },
  {
    route: 'DELETE /api/v1/models/{model}/aliases/{alias}',
    what: 'the one that is followed',
    status: 204,
    prepare: always(call('DELETE', 'models/f/aliases/champion')),
    isDone: isGone,
  },
];

const ofServer: MutatingCall[] = [
  {
    route: 'POST /api/v1/blobs/verify',
    what: 'all that a model needs',
    status: 200,
    prepare: always(post('blobs/verify', { model: 'm' })),
  },
  {
    route: 'POST /api/v1/gc',
    what: 'a blob that nothing needs, and an upload that was given up',
    status: 200,
    leaves: true,
    prepare: async (bench) => {
      await upload(bench, bytesOf(10, 4));
      const id = await begin(bench);
      expectStatus([202], await bench.send(append(id, bytesOf(1000, 5))));
      await bench.state.query(`UPDATE upload SET touched_at = now() - interval '2 days'`);
      return post('gc', { graceSeconds: 0 });
    },
  },
  {
    route: 'POST /__test__/reset',
    what: 'everything',
    status: 204,
    prepare: always({ method: 'POST', path: '/__test__/reset' }),
  },
];

const ofUploads: MutatingCall[] = [
  {
    route: 'POST /api/v1/blobs/uploads',
    what: 'a new one',
    status: 202,
    prepare: always(post('blobs/uploads')),
  },
  {
    route: 'PATCH /api/v1/blobs/uploads/{id}',
    what: 'the first bytes',
    status: 202,
    prepare: async (bench) => append(await begin(bench), bytesOf(300_000, 6)),
    isDone: holds(300_000),
  },
  {
    route: 'PATCH /api/v1/blobs/uploads/{id}',
    what: 'more bytes',
    status: 202,
    prepare: async (bench) => {
      const id = await begin(bench);
      expectStatus([202], await bench.send(append(id, bytesOf(1000, 6))));
      return append(id, bytesOf(2000, 7), 1000);
    },
    isDone: holds(3000),
  },
  {
    route: 'PUT /api/v1/blobs/uploads/{id}',
    what: 'with all bytes',
    status: 201,
    prepare: async (bench) => finish(await begin(bench), bytesOf(5000, 8)),
    again: finishAgain,
  },
  {
    route: 'PUT /api/v1/blobs/uploads/{id}',
    what: 'with the last bytes',
    status: 201,
    prepare: async (bench) => {
      const id = await begin(bench);
      expectStatus([202], await bench.send(append(id, bytesOf(1000, 9))));
      return finish(id, bytesOf(3000, 9), 1000);
    },
    again: finishAgain,
  },
  {
    route: 'PUT /api/v1/blobs/uploads/{id}',
    what: 'of a blob that is stored',
    status: 201,
    prepare: async (bench) => {
      await upload(bench, bytesOf(5000, 10));
      return finish(await begin(bench), bytesOf(5000, 10));
    },
    again: finishAgain,
  },
  {
    route: 'PUT /api/v1/blobs/uploads/{id}',
    what: 'with other bytes than the digest says',
    status: 400,
    prepare: async (bench) => {
      const { body: _, ...rest } = finish(await begin(bench), bytesOf(5000, 11));
      return { ...rest, body: bytesOf(5000, 12) };
    },
    isDone: isGone,
  },
  {
    route: 'DELETE /api/v1/blobs/uploads/{id}',
    what: 'one with bytes',
    status: 204,
    prepare: async (bench) => {
      const id = await begin(bench);
      expectStatus([202], await bench.send(append(id, bytesOf(1000, 13))));
      return call('DELETE', `blobs/uploads/${id}`);
    },
    isDone: isGone,
  },
];

/** Only with a store that keeps large content in parts. */
export const ofLargeUploads: MutatingCall[] = [
  {
    leaves: true,
    route: 'PATCH /api/v1/blobs/uploads/{id}',
    what: 'more than two parts, on bytes that are there',
    status: 202,
    prepare: async (bench) => {
      const id = await begin(bench);
      expectStatus([202], await bench.send(append(id, bytesOf(1000, 14))));
      return append(id, bytesOf(17 * MiB, 14), 1000);
    },
    again: async (bench, { path }) => {
      const at = await bench.send({ method: 'GET', path });
      const received = Number(at.headers.get('range')?.split('-')[1] ?? -1) + 1;
      const rest = bytesOf(17 * MiB, 14).subarray(received - 1000);
      if (rest.length === 0) return { ...at, status: 202 };
      return bench.send(append(path.split('/').at(-1) ?? '', rest, received));
    },
  },
  {
    route: 'PUT /api/v1/blobs/uploads/{id}',
    what: 'of more than two parts',
    leaves: true,
    status: 201,
    prepare: async (bench) => {
      const id = await begin(bench);
      expectStatus([202], await bench.send(append(id, bytesOf(17 * MiB, 15))));
      return finish(id, bytesOf(17 * MiB, 15), 17 * MiB);
    },
    again: finishAgain,
  },
];

/** Every mutating route in every way that has statements of its own. */
export const mutatingCalls: MutatingCall[] = [
  ...ofModels,
  ...ofVersions,
  ...ofStages,
  ...ofServer,
  ...ofUploads.map((given) => ({ ...given, leaves: true as const })),
];

/** Stores bytes; gives their digest. */
async function upload(bench: Pick<Bench, 'send'>, bytes: Buffer): Promise<string> {
  expectStatus([201], await bench.send(finish(await begin(bench), bytes)));
  return digestOf(bytes);
}

async function begin({ send }: Pick<Bench, 'send'>): Promise<string> {
  const { headers } = expectStatus([202], await send(call('POST', 'blobs/uploads')));
  return headers.get('location')?.split('/').at(-1) ?? randomUUID();
}

function append(id: string, body: Buffer, start = 0): Call {
  const headers = { 'content-range': `${start}-${start + body.length - 1}` };
  return { ...call('PATCH', `blobs/uploads/${id}`), body, headers };
}

/** @param start of the bytes of `content` that are still to be sent */
function finish(id: string, content: Buffer, start = 0): Call {
  const body = content.subarray(start);
  const path = `blobs/uploads/${id}?digest=${digestOf(content)}`;
  const headers = { 'content-range': `${start}-${content.length - 1}` };
  return { ...call('PUT', path), body, ...(start > 0 && body.length > 0 && { headers }) };
}

/** As the OCI specification says: where the upload has the bytes it is only ended; where it is gone the blob is looked for. */
async function finishAgain({ send }: Bench, given: Call): Promise<Answer> {
  const location = given.path.split('?')[0] ?? '';
  const at = await send({ method: 'GET', path: location });
  if (at.status === 404) {
    const digest = given.path.split('digest=')[1];
    const blob = await send({ method: 'HEAD', path: `/api/v1/blobs/${digest}` });
    return { ...blob, status: blob.status === 200 ? 201 : blob.status };
  }
  const again = await send(given);
  if (again.status !== 416) return again;
  return send({ method: 'PUT', path: given.path, body: Buffer.alloc(0) });
}

/** Whether an upload refuses bytes because it has them. */
function holds(size: number): (answer: Answer) => boolean {
  return ({ status, headers }) => status === 416 && headers.get('range') === `0-${size - 1}`;
}

/** A client that looks first, because the call has no key. */
function onceUnless(isThere: (bench: Bench) => Promise<boolean>): MutatingCall['again'] {
  return async (bench, given) =>
    (await isThere(bench)) ? { status: 200, headers: new Headers(), body: {} } : bench.send(given);
}

async function followOf(state: RegistryState): Promise<string | undefined> {
  const [row] = await state.query<{ follow: string }>(
    `SELECT follow FROM registered_model WHERE name = 'm'`,
  );
  return row?.follow;
}

function expectStatus(expected: number[], answer: Answer): Answer {
  if (expected.includes(answer.status)) return answer;
  throw new Error(`Answered was ${answer.status}: ${JSON.stringify(answer.body)}`);
}
