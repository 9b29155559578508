import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import {
  type FieldTable,
  encodeCursor,
  listQuery,
  type ListRequest,
  listRows,
  type Page,
  parseFilter,
  type RowSource,
  type TieBreaker,
  toSql,
} from '#search';
import { dropDatabase, ownDatabase } from './support/postgres.js';

const fields: FieldTable = {
  name: { kind: 'string', sql: 'm.name', notNull: true },
  version: { kind: 'number', sql: 'v.version', notNull: true },
  description: { kind: 'string', sql: 'v.description', notNull: true },
  format: { kind: 'string', sql: 'v.format' },
  runId: { kind: 'string', sql: 'v.run_id' },
  size: { kind: 'number', sql: 'v.size', notNull: true },
  ratio: { kind: 'number', sql: "(v.metadata ->> 'ratio')::double precision" },
  id: { kind: 'uuid', sql: 'v.id', notNull: true },
  createdAt: { kind: 'time', sql: 'v.created_at', notNull: true },
  checkedAt: { kind: 'time', sql: 'v.checked_at' },
  tags: { kind: 'tags', sql: 'v.tags', absent: { prompt: 'false' } },
  metrics: { kind: 'metrics', sql: 'v.metrics' },
  params: { kind: 'params', sql: 'v.params' },
};
const from = 'model_version v JOIN registered_model m ON m.id = v.model_id';
const tie: TieBreaker = { kind: 'uuid', sql: 'v.id' };

interface VersionRow {
  version: number;
}

interface NewVersion {
  version: number;
  description?: string;
  format?: string | null;
  run_id?: string | null;
  size?: string | number;
  metadata?: unknown;
  created_at?: string;
  checked_at?: string | null;
  tags?: Record<string, unknown>;
  metrics?: Record<string, unknown>;
  params?: Record<string, unknown>;
}

let url: string;
let client: pg.Client;
let model: string;

beforeAll(async () => {
  url = await ownDatabase();
  client = new pg.Client(url);
  await client.connect();
});

afterAll(async () => {
  await client.end();
  await dropDatabase(url);
});

beforeEach(async () => {
  await client.query('TRUNCATE registered_model CASCADE');
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO registered_model (name, created_by) VALUES ('iris', 'test') RETURNING id`,
  );
  model = rows[0]?.id ?? '';
});

async function insert(versions: readonly NewVersion[]): Promise<void> {
  await client.query(
    `INSERT INTO model_version (model_id, created_by, version, description, format, run_id, size, metadata, created_at, checked_at, tags, metrics, params)
     SELECT $1, 'test', version, COALESCE(description, ''), format, run_id, COALESCE(size, 0), COALESCE(metadata, '{}'),
       COALESCE(created_at, now()), checked_at, COALESCE(tags, '{}'), COALESCE(metrics, '{}'), COALESCE(params, '{}')
     FROM jsonb_populate_recordset(NULL::model_version, $2)`,
    [model, JSON.stringify(versions)],
  );
}

/** Numbers of the versions that a filter finds. */
async function find(filter: string): Promise<number[]> {
  const { where, values } = toSql(parseFilter(filter, fields), fields);
  const { rows } = await client.query<VersionRow>(
    `SELECT v.version FROM ${from} WHERE ${where} ORDER BY v.version`,
    values,
  );
  return rows.map(({ version }) => version);
}

/** TypeORM's query gives the rows alone. */
const source: RowSource = {
  query: async <Rows>(text: string, values: unknown[]) =>
    (await client.query(text, values)).rows as Rows,
};

function list(request: ListRequest, values = [model]): Promise<Page<VersionRow>> {
  return listRows<VersionRow>(source, {
    select: 'v.version',
    from,
    where: 'v.model_id = $1',
    values,
    fields,
    defaultOrder: '-version',
    tie,
    request,
  });
}

async function listAll(
  request: ListRequest,
  between: () => Promise<void> = async () => {},
): Promise<number[]> {
  const versions: number[] = [];
  let cursor: string | undefined;
  do {
    const page = await list({ ...request, cursor });
    versions.push(...page.items.map(({ version }) => version));
    cursor = page.next;
    await between();
  } while (cursor !== undefined);
  return versions;
}

describe('filters in PostgreSQL', () => {
  beforeEach(async () => {
    await insert([
      {
        version: 1,
        description: 'Over 50% better_x',
        run_id: 'r1',
        size: '9007199254740993',
        created_at: '2026-01-01T00:00:00.123Z',
        metadata: { ratio: 0.1 },
        tags: { team: 'Risk', 'a b': 'x', prompt: 'true' },
        metrics: {
          acc: 0.97,
          inf: 'Infinity',
          nan: 'NaN',
          tiny: 5e-324,
          huge: 1.7976931348623157e308,
        },
        params: { trees: '100' },
      },
      {
        version: 2,
        description: 'C:\\models\\new',
        run_id: null,
        size: '9007199254740992',
        created_at: '2026-01-01T00:00:00.124Z',
        checked_at: '2026-01-01T00:00:00.124Z',
        tags: { team: 'risk' },
        metrics: { acc: 0.5, inf: '-Infinity', nan: 1, text: 'high', nothing: null },
        params: { trees: '1000' },
      },
    ]);
  });

  it.each<[string, number[]]>([
    ['', [1, 2]],
    ["name = 'iris'", [1, 2]],
    ["name = 'IRIS'", []],
    ["name ILIKE 'IR%'", [1, 2]],
    ["name LIKE 'IR%'", []],
    ["name LIKE 'ir_s'", [1, 2]],
    ["description LIKE '%50\\%%'", [1]],
    ["description LIKE '%\\_x'", [1]],
    ["description LIKE '%rx_'", []],
    ["description = 'C:\\models\\new'", [2]],
    ["description LIKE 'C:\\models%'", [2]],
    ["description LIKE 'C:\\\\models%'", [2]],
    ["description LIKE '%\\'", []],
    ["runId = 'r1'", [1]],
    ["runId != 'x'", [1]],
    ['runId IS NULL', [2]],
    ['runId IS NOT NULL', [1]],
    ["runId IN ('r1', 'r2')", [1]],
    ["runId NOT IN ('r2')", [1]],
    ['version = 1', [1]],
    ['version >= 1.5', [2]],
    ['version IN (2, 3.5)', [2]],
    ['version < 1e400', [1, 2]],
    ['version > -99999999999999999999999', [1, 2]],
    ['size > 9007199254740992', [1]],
    ['size = 9007199254740993', [1]],
    ['ratio = 0.1', [1]],
    ['ratio < 1', [1]],
    ['ratio IS NULL', [2]],
    ['createdAt = 1767225600123', [1]],
    ["createdAt > '2026-01-01T00:00:00.123Z'", [2]],
    ["createdAt < '9999-12-31'", [1, 2]],
    ['createdAt < 99999999999999999999', [1, 2]],
    ['createdAt > -99999999999999999999', [1, 2]],
    ['createdAt IN (1767225600123, 5)', [1]],
    ['checkedAt IS NULL', [1]],
    ["id = 'no id'", []],
    ["tags.team = 'risk'", [2]],
    ["tags.team ILIKE 'RISK'", [1, 2]],
    ["tags.team != 'risk'", [1]],
    ["tags.`a b` = 'x'", [1]],
    ["tags.`a b` != 'y'", [1]],
    ['tags."a b" IS NULL', [2]],
    ["tags.prompt != 'true'", [2]],
    ["tags.prompt = 'false'", [2]],
    ["params.trees = '100'", [1]],
    ["params.trees LIKE '100%'", [1, 2]],
    ["params.trees IN ('1000')", [2]],
    ['metrics.acc > 0.5', [1]],
    ['metrics.acc = 0.97', [1]],
    ['metrics.acc = 0.970000000000000000001', [1]],
    ['metrics.acc != 0.97', [2]],
    ['metrics.acc IN (0.5, 0.97)', [1, 2]],
    ['metrics.missing != 1', []],
    ['metrics.inf > 1e308', [1]],
    ['metrics.inf < 0', [2]],
    ['metrics.nan > 0', [2]],
    ['metrics.nan = 1', [2]],
    ['metrics.nan != 5', [1, 2]],
    ['metrics.nan NOT IN (1)', [1]],
    ['metrics.tiny > 0', [1]],
    ['metrics.huge > 1e308', [1]],
    ['metrics.text > 0', []],
    ['metrics.nothing > 0', []],
    ["metrics.acc > 0.1 AND tags.team = 'Risk' AND version < 2", [1]],
  ])('%s finds %j', async (filter, versions) => {
    expect(await find(filter)).toEqual(versions);
  });

  it('never makes a statement that PostgreSQL refuses, nor is led astray by quotes', async () => {
    const hostile = [
      "'",
      "''",
      "' OR 1=1 --",
      '"',
      '\\',
      '\\\\',
      '%',
      '_',
      '%\\',
      '$1',
      '${1}',
      "'; DROP TABLE event; --",
      '\u0001',
      '\ud800',
      '\u{1f600}',
      '{"a":1}',
      '{a,b}',
      'a'.repeat(4000),
      '%_'.repeat(2000),
    ];
    for (const value of hostile) {
      const quoted = `'${value.replaceAll("'", "''")}'`;
      const key = `\`${value}\``;
      for (const filter of [
        `name = ${quoted}`,
        `name LIKE ${quoted}`,
        `name ILIKE ${quoted} AND description != ${quoted}`,
        `name IN (${quoted}, 'x')`,
        `id IN (${quoted})`,
        `tags.${key} = ${quoted}`,
        `params.${key} IS NULL`,
        `metrics.${key} > 1`,
      ]) {
        await find(filter);
      }
      if (value.length < 500) await list({ order: `-tags.${key}, metrics.${key}` });
    }
    expect(await find("name = 'iris''; DROP TABLE event; --'")).toEqual([]);
    expect(await find("name = 'iris''' AND tags.`x' OR 1=1 --` = 'y'")).toEqual([]);
  });

  it('answers any filter that it takes', async () => {
    const scalar = fc.oneof(
      fc.string({ unit: 'binary' }).map((text) => `'${text.replaceAll("'", "''")}'`),
      fc.double().map(String),
      fc.integer().map(String),
      fc.bigInt().map(String),
      fc.date({ noInvalidDate: true }).map((date) => `'${date.toISOString()}'`),
    );
    const field = fc.oneof(
      fc.constantFrom(...Object.keys(fields)),
      fc.constantFrom('metrics.acc', 'metrics.text', 'tags.team', 'params.trees'),
    );
    const comparator = fc.constantFrom(
      '=',
      '!=',
      '>',
      '<=',
      'LIKE',
      'ILIKE',
      'IS NULL',
      'IS NOT NULL',
    );
    const condition = fc.oneof(
      fc
        .tuple(field, comparator, scalar)
        .map(([name, symbol, value]) =>
          symbol.startsWith('IS') ? `${name} ${symbol}` : `${name} ${symbol} ${value}`,
        ),
      fc
        .tuple(field, fc.array(scalar, { maxLength: 4 }))
        .map(([name, values]) => `${name} NOT IN (${values.join()})`),
    );
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(condition, { maxLength: 3 }), async (conditions) => {
        const filter = conditions.join(' AND ');
        try {
          parseFilter(filter, fields);
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
          return;
        }
        taken++;
        await find(filter);
      }),
      { numRuns: 1000 },
    );
    expect(taken).toBeGreaterThan(50);
  });
});

describe('pages', () => {
  it('cut a list by the limit and end without a cursor', async () => {
    await insert([1, 2, 3, 4].map((version) => ({ version })));
    const first = await list({ limit: 2 });
    expect(first.items).toEqual([{ version: 4 }, { version: 3 }]);
    const second = await list({ limit: 2, cursor: first.next });
    expect(second).toEqual({ items: [{ version: 2 }, { version: 1 }] });
  });

  it('put NaN and what is missing last, in both directions', async () => {
    const values = [0.5, 'NaN', 'Infinity', '-Infinity', -1e308, 5e-324, 'high'];
    await insert([
      ...values.map((acc, i) => ({ version: i + 1, metrics: { acc } })),
      { version: 8, metrics: {} },
    ]);
    const order = ['metrics.acc', 'version'];
    expect(await listAll({ order, limit: 1 })).toEqual([4, 5, 6, 1, 3, 2, 7, 8]);
    expect(await listAll({ order: ['metrics.acc DESC', 'version'], limit: 1 })).toEqual([
      3, 1, 6, 5, 4, 2, 7, 8,
    ]);
    expect(await listAll({ order: '-checkedAt,-version', limit: 3 })).toEqual([
      8, 7, 6, 5, 4, 3, 2, 1,
    ]);
  });

  it('refuse a cursor that is not theirs', async () => {
    await insert([1, 2, 3].map((version) => ({ version })));
    const { next = '' } = await list({ limit: 1 });
    const other = { code: 'INVALID_ARGUMENT', message: expect.stringContaining('another list') };
    await expect(list({ cursor: next, order: 'version' })).rejects.toMatchObject(other);
    await expect(list({ cursor: next, filter: 'version > 0' })).rejects.toMatchObject(other);
    const elsewhere = ['00000000-0000-0000-0000-000000000000'];
    await expect(list({ cursor: next }, elsewhere)).rejects.toMatchObject(other);
    const damaged = { code: 'INVALID_ARGUMENT', message: expect.stringContaining('damaged') };
    for (const cursor of [
      'x',
      '!',
      next.slice(0, -4),
      next.slice(1),
      'a'.repeat(20_000),
      'bnVsbA',
      'W10',
    ]) {
      await expect(list({ cursor })).rejects.toMatchObject(damaged);
    }
    for (const limit of [0, -1, 1.5, NaN, 1001]) {
      await expect(list({ limit })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it('check what a forged cursor says before PostgreSQL reads it', async () => {
    await insert([1, 2].map((version) => ({ version })));
    const order = 'ratio,createdAt,checkedAt,version,name';
    const { next = '' } = await list({ order, limit: 1 });
    const [scope, ...values] = JSON.parse(Buffer.from(next, 'base64url').toString()) as string[];
    const hostile = [
      'x',
      '',
      "'",
      '\0',
      '1e999999',
      '99999999999999999999',
      '2026-02-31T00:00:00.000000Z',
      '0000-01-01T00:00:00.000000Z',
      'NaN',
      '-Infinity',
      '1'.repeat(600),
      '2026-01-01',
      5,
      {},
      [],
      true,
      null,
    ];
    for (let i = 0; i < values.length; i++) {
      for (const value of hostile) {
        const forged = values.map((own, j) => (i === j ? value : own)) as string[];
        try {
          await list({ order, limit: 1, cursor: encodeCursor(scope ?? '', forged) });
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
        }
      }
    }
  });

  it('add up to the whole order, whatever is written in between', async () => {
    const tied = <T>(...values: T[]) => fc.constantFrom(...values);
    const row = fc.record({
      description: tied('', 'a', 'B', 'ä', "'", '\\', 'b'),
      format: tied(null, 'onnx', 'xgboost'),
      size: tied('0', '9007199254740992', '9007199254740993'),
      metadata: tied({}, { ratio: 0.1 }, { ratio: 0.30000000000000004 }, { ratio: -1e300 }),
      created_at: tied(
        '2026-01-01T00:00:00.123Z',
        '2026-01-01T00:00:00.124Z',
        '1969-12-31T23:59:59.999Z',
      ),
      checked_at: tied(null, '2026-01-01T00:00:00.001Z', '2026-01-01T00:00:00.002Z'),
      tags: tied({}, { t: 'a' }, { t: 'b' }, { t: 'a'.repeat(300) }),
      metrics: tied({}, { m: 'NaN' }, { m: 1 }, { m: 0.1 }, { m: 'Infinity' }, { m: '-Infinity' }),
    });
    const term = fc
      .tuple(
        fc.constantFrom('', '-'),
        fc.constantFrom(
          'description',
          'format',
          'size',
          'ratio',
          'createdAt',
          'checkedAt',
          'tags.t',
          'metrics.m',
        ),
      )
      .map(([sign, name]) => ({ sign, name }));
    const orders = fc
      .uniqueArray(term, { selector: ({ name }) => name, maxLength: 4 })
      .map((terms) => terms.map(({ sign, name }) => sign + name).join());
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 1, maxLength: 25 }),
        fc.array(row, { maxLength: 10 }),
        orders,
        fc.integer({ min: 1, max: 7 }),
        fc.constantFrom(undefined, "format != 'none'", 'size > 0'),
        async (rows, written, order, limit, filter) => {
          await client.query('DELETE FROM model_version');
          await insert(rows.map((own, i) => ({ ...own, version: i + 1 })));
          const request = { order, filter };
          const whole = await list({ ...request, limit: 1000 });
          const expected = whole.items.map(({ version }) => version);
          expect(await listAll({ ...request, limit })).toEqual(expected);
          let next = 1000;
          const meanwhile = async () => {
            const own = written[next - 1000];
            if (own !== undefined) await insert([{ ...own, version: next }]);
            next++;
          };
          const seen = await listAll({ ...request, limit }, meanwhile);
          expect(seen.filter((version) => version < 1000)).toEqual(expected);
          expect(new Set(seen).size).toBe(seen.length);
        },
      ),
      { numRuns: 60 },
    );
  }, 120_000);

  it('are served by an index where columns have no NULL', async () => {
    await insert(Array.from({ length: 3000 }, (_, i) => ({ version: i + 1 })));
    await client.query('ANALYZE model_version');
    const whole = {
      select: 'v.version',
      from: 'model_version v',
      where: 'v.model_id = $1',
      values: [model],
      fields,
      defaultOrder: '-version',
      tie: { kind: 'number', sql: 'v.version' } satisfies TieBreaker,
    };
    const { next } = await listRows<VersionRow>(source, { ...whole, request: { limit: 10 } });
    const second = listQuery({ ...whole, request: { limit: 10, cursor: next } });
    const plan = await client.query<Record<string, string>>(
      `EXPLAIN ${second.text}`,
      second.values,
    );
    const text = plan.rows.map((line) => line['QUERY PLAN']).join('\n');
    expect(text).toMatch(/Index (Only )?Scan Backward using model_version_model_id_version_key/);
    expect(text).toMatch(/Index Cond: .*version < /);
    expect(text).not.toContain('Sort');
  });
});
