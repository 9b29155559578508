import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Slipway } from '#sdk';
import pg from 'pg';
import { type Family, parseExposition, valueOf } from './support/exposition.js';
import { constantModel } from './support/models.js';
import { until } from './support/processes.js';
import { Product } from './support/product.js';
import { digestOf } from './support/registry.js';

/** Of characters that a label must escape. */
const ODD = 'odd "quoted" \\ name';

type Families = Map<string, Family>;

let product: Product;
let slipway: Slipway;
let uploaded = 0;
const scrape = async (url: string): Promise<Families> => {
  const answer = await fetch(`${url}/metrics`);
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  return parseExposition(await answer.text());
};
const registry = () => scrape(product.url);
const serving = () => scrape(product.servingUrl);

/** Sends one prediction on a connection of its own, so that the processes take turns. */
function predict(model: string, rows: number, path = 'infer'): Promise<number> {
  const data = Array.from({ length: rows }, () => 0.5);
  const body = JSON.stringify({
    inputs: [{ name: 'X', datatype: 'FP32', shape: [rows, 1], data }],
  });
  return send(`/v2/models/${encodeURIComponent(model)}/${path}`, body);
}

function send(path: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `${product.servingUrl}${path}`,
      { method: 'POST', agent: new Agent(), headers: { 'content-type': 'application/json' } },
      (answer) => answer.resume().on('end', () => resolve(answer.statusCode ?? 0)),
    );
    outgoing.on('error', reject).end(body);
  });
}

async function log(name: string, value: number): Promise<number> {
  const bytes = constantModel(value);
  uploaded += bytes.length;
  const { version } = await slipway.logModel({
    name,
    files: [{ path: 'model.json', data: bytes }],
  });
  await slipway.checked(name, version);
  return version;
}

beforeAll(async () => {
  product = await Product.start({ env: { SERVING_PROCESSES: '2', LOG_LEVEL: 'warn' } });
  slipway = new Slipway({ url: product.url });
  await log('iris', 1);
  await log('iris', 2);
  await log(ODD, 3);
  await slipway.promote('iris', 1, { wait: 20 });
  await slipway.promote('iris', 2, { wait: 20 });
  await slipway.rollback('iris', { wait: 20 });
  await slipway.setAlias('iris', 'champion', 2);
  await slipway.promote(ODD, 1, { wait: 20 });
}, 90_000);
afterAll(() => product.remove());

describe('the registry', () => {
  it('counts what was done, to the piece', async () => {
    const found = await registry();
    const count = (name: string, labels = {}) =>
      valueOf(found, `slipway_registry_${name}_total`, labels);
    expect(count('transitions', { kind: 'stage' })).toBe(3);
    expect(count('transitions', { kind: 'rollback' })).toBe(1);
    expect(count('transitions', { kind: 'alias' })).toBe(1);
    expect(count('versions_created')).toBe(3);
    expect(count('uploads', { step: 'begun' })).toBe(3);
    expect(count('uploads', { step: 'finished' })).toBe(3);
    expect(count('upload_bytes')).toBe(uploaded);
    expect(
      valueOf(found, 'slipway_registry_compile_duration_seconds_count', {
        format: 'xgboost',
        outcome: 'servable',
      }),
    ).toBe(3);
    const logged = { method: 'POST', route: '/api/v1/models/:model/versions', status: '201' };
    expect(valueOf(found, 'slipway_http_request_duration_seconds_count', logged)).toBe(3);
    for (const { samples } of found.values())
      for (const { labels } of samples) expect(labels.route ?? '').not.toContain('iris');
  });

  it('counts repeats of an Idempotency-Key, also where both came at once', async () => {
    const post = () =>
      fetch(`${product.url}/api/v1/models`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': 'one-key' },
        body: JSON.stringify({ name: 'repeated' }),
      }).then((answer) => answer.status);
    expect(await Promise.all([post(), post(), post()])).toEqual([201, 201, 201]);
    await post();
    const found = await registry();
    expect(valueOf(found, 'slipway_registry_idempotent_repeats_total')).toBe(3);
  });

  it('counts uploads that were given up, and who follows events', async () => {
    const following = new AbortController();
    const events = await fetch(`${product.url}/api/v1/events`, { signal: following.signal });
    const begun = await fetch(`${product.url}/api/v1/blobs/uploads`, { method: 'POST' });
    const location = begun.headers.get('location') ?? '';
    await fetch(`${product.url}${location}`, {
      method: 'PATCH',
      body: new Uint8Array(1000),
      headers: { 'content-range': '0-999' },
    });
    await fetch(`${product.url}${location}`, { method: 'DELETE' });
    const found = await registry();
    expect(valueOf(found, 'slipway_registry_event_listeners')).toBe(1);
    expect(valueOf(found, 'slipway_registry_uploads_total', { step: 'cancelled' })).toBe(1);
    expect(valueOf(found, 'slipway_registry_upload_bytes_total')).toBe(uploaded + 1000);
    following.abort();
    await events.text().catch(() => '');
    await until(
      async () => valueOf(await registry(), 'slipway_registry_event_listeners') === 0,
      20_000,
    );
  });

  it('knows blobs and jobs from the database, and collected garbage', async () => {
    // A blob that nothing needs goes at once where there is no grace.
    const bytes = Buffer.from('needed by nobody');
    const digest = digestOf(bytes);
    const begun = await fetch(`${product.url}/api/v1/blobs/uploads`, { method: 'POST' });
    await fetch(`${product.url}${begun.headers.get('location')}?digest=${digest}`, {
      method: 'PUT',
      body: bytes,
    });
    await slipway.gc({ dryRun: true, graceSeconds: 0 });
    const before = await registry();
    expect(valueOf(before, 'slipway_registry_garbage_total', { kind: 'blobs' })).toBe(0);
    expect(valueOf(before, 'slipway_registry_garbage_last_pass_timestamp_seconds')).toBe(0);
    await slipway.gc({ graceSeconds: 0 });
    const after = await registry();
    expect(valueOf(after, 'slipway_registry_garbage_total', { kind: 'blobs' })).toBe(1);
    expect(valueOf(after, 'slipway_registry_garbage_bytes_total')).toBe(bytes.length);
    const pass = valueOf(after, 'slipway_registry_garbage_last_pass_timestamp_seconds') ?? 0;
    expect(Math.abs(Date.now() / 1000 - pass)).toBeLessThan(60);
    const client = new pg.Client(product.database);
    await client.connect();
    const { rows } = await client.query<{ blobs: string; bytes: string }>(
      'SELECT count(*) AS blobs, sum(size) AS bytes FROM blob',
    );
    await client.end();
    // They are read anew after 30 s at the latest.
    await until(
      async () => valueOf(await registry(), 'slipway_registry_blobs') === Number(rows[0]?.blobs),
      45_000,
    );
    const found = await registry();
    expect(valueOf(found, 'slipway_registry_blob_bytes')).toBe(Number(rows[0]?.bytes));
    expect(valueOf(found, 'slipway_registry_compile_jobs_waiting')).toBe(0);
    expect(valueOf(found, 'slipway_registry_compile_jobs_running')).toBe(0);
    const open = valueOf(found, 'slipway_database_pool_connections', { pool: 'registry' });
    expect(open).toBeGreaterThan(0);
    expect(open).toBeLessThanOrEqual(
      valueOf(found, 'slipway_database_pool_connections_max', { pool: 'registry' }) ?? 0,
    );
  }, 60_000);
});

describe('serving', () => {
  it('counts predictions of all processes by model and version, to the piece', async () => {
    const statuses = await Promise.all([
      ...Array.from({ length: 40 }, () => predict('iris', 3)),
      ...Array.from({ length: 7 }, () => predict('iris', 100, 'versions/2/infer')),
      ...Array.from({ length: 5 }, () => send('/v2/models/iris/infer', '{"inputs": []}')),
      ...Array.from({ length: 4 }, () => predict('nobody', 1)),
      predict(ODD, 1),
    ]);
    expect(statuses.filter((status) => status === 200)).toHaveLength(48);
    const found = await serving();
    const value = (name: string, labels = {}) => valueOf(found, `slipway_serving_${name}`, labels);
    const first = { model: 'iris', version: '1' };
    const second = { model: 'iris', version: '2' };
    expect(value('requests_total', first)).toBe(45);
    expect(value('request_errors_total', first)).toBe(5);
    expect(value('request_errors_total', { ...first, code: '400' })).toBe(5);
    expect(value('request_duration_seconds_count', first)).toBe(45);
    expect(value('request_duration_seconds_sum', first)).toBeGreaterThan(0);
    expect(value('batch_requests_sum', first)).toBe(40);
    expect(value('batch_rows_sum', first)).toBe(120);
    expect(value('batch_rows_count', first)).toBe(value('batch_requests_count', first));
    expect(value('requests_total', second)).toBe(7);
    expect(value('batch_rows_sum', second)).toBe(700);
    expect(value('request_errors_total', second)).toBeUndefined();
    expect(value('refused_requests_total', { code: '404' })).toBe(4);
    expect(value('requests_total', { model: ODD })).toBe(1);
    expect(value('requests_total', { model: 'nobody' })).toBeUndefined();
    expect(value('queued_requests')).toBe(0);
    expect(value('requests_in_flight')).toBe(0);
    expect(value('resident_bytes', first)).toBeGreaterThan(0);
    expect(value('processes')).toBe(2);
    // Two followed models and the one before, in two processes.
    expect(value('loaded_versions')).toBe(6);
    expect(value('load_duration_seconds_count', { outcome: 'loaded' })).toBe(6);
    // Each process went to version 1, to 2, back to 1, and to the odd one.
    expect(value('swap_duration_seconds_count')).toBe(8);
    expect(value('model_processes', { model: 'iris', state: 'ready' })).toBe(2);
    expect(value('model_processes', { state: 'failed' })).toBe(0);
    expect(value('generations_behind')).toBe(0);
    expect(value('quarantined_versions')).toBe(0);
    expect(value('database_up')).toBe(1);
    expect(value('reconcile_age_seconds')).toBeLessThan(10);
  });

  it('keeps what a process had counted that died', async () => {
    const before = await serving();
    const rises = [...before.values()].filter(
      ({ name, type }) => name.startsWith('slipway_') && type !== 'gauge',
    );
    const [worker = 0] = product.processes.workers;
    process.kill(worker, 'SIGKILL');
    await until(async () => {
      const found = await serving().catch(() => undefined);
      // While it is being replaced, too.
      for (const { samples } of found ? rises : []) {
        for (const { name, labels, value } of samples)
          expect(valueOf(found ?? before, name, labels)).toBeGreaterThanOrEqual(value);
      }
      const restarts = 'slipway_serving_process_restarts_total';
      return (
        found !== undefined &&
        valueOf(found, restarts, { reason: 'killed' }) === 1 &&
        valueOf(found, 'slipway_serving_processes') === 2 &&
        valueOf(found, 'slipway_serving_model_processes', { state: 'ready' }) === 4
      );
    }, 30_000);
    const sent = await Promise.all(Array.from({ length: 10 }, () => predict('iris', 1)));
    expect(sent.filter((status) => status !== 200)).toEqual([]);
    const found = await serving();
    expect(valueOf(found, 'slipway_serving_requests_total', { model: 'iris', version: '1' })).toBe(
      55,
    );
    // Those of Node begin anew with the process, as their labels say.
    expect(valueOf(found, 'process_cpu_seconds_total', { process: '0' })).toBeGreaterThan(0);
    expect(valueOf(found, 'process_cpu_seconds_total', { process: 'supervisor' })).toBeGreaterThan(
      0,
    );
  }, 60_000);
});

describe('docs/metrics.md', () => {
  const rows = [
    ...readFileSync('docs/metrics.md', 'utf8').matchAll(
      /^\| `(slipway_\w+)` +\| (\w+) +\| ([^|]*)\|/gm,
    ),
  ];
  const documented = new Map(
    rows.map(([, name = '', type = '', labels = '']) => [
      name,
      { type, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label).toSorted() },
    ]),
  );

  it('has every metric that a port exposes, with its type and labels, and no other', async () => {
    const exposed = [...(await registry()).values(), ...(await serving()).values()];
    const other = exposed.filter(({ name }) => !/^(slipway|process|nodejs)_/.test(name));
    expect(other).toEqual([]);
    const ours = exposed.filter(({ name }) => name.startsWith('slipway_'));
    expect([...new Set(ours.map(({ name }) => name))].toSorted()).toEqual(
      [...documented.keys()].toSorted(),
    );
    for (const { name, type, samples } of ours) {
      expect([name, documented.get(name)?.type]).toEqual([name, type]);
      for (const { labels } of samples) {
        const found = Object.keys(labels).filter((label) => label !== 'le');
        expect([name, found.toSorted()]).toEqual([name, documented.get(name)?.labels]);
      }
    }
  });

  it('knows every metric that an alert asks for', () => {
    const rules = readFileSync('docker/prometheus/alerts.yaml', 'utf8');
    const asked = [...rules.matchAll(/\bslipway_\w+/g)].map(([name]) =>
      name.replace(/_(bucket|sum|count)$/, ''),
    );
    expect(asked.length).toBeGreaterThan(8);
    for (const name of asked) expect(documented.has(name) ? name : `${name} is unknown`).toBe(name);
  });
});
