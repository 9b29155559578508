import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { constantModel } from './support/models.js';
import { startRegistry, type TestRegistry } from './support/registry.js';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

interface Told {
  id: string;
  kind: string;
  model: string;
  version: number | null;
}

/** Reads the stream until `enough` says so. */
async function read(enough: (events: Told[]) => boolean, lastEventId?: string): Promise<Told[]> {
  const stop = new AbortController();
  const response = await fetch(`${registry.url}/api/v1/events`, {
    headers: lastEventId ? { 'Last-Event-ID': lastEventId } : {},
    signal: stop.signal,
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const events: Told[] = [];
  let text = '';
  if (!response.body) throw new Error('no body');
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString('utf8');
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data) events.push(JSON.parse(data) as Told);
    }
    if (enough(events)) break;
  }
  stop.abort();
  return events;
}

describe('events', () => {
  it('tell what happens, and go on after the last one without loss', async () => {
    const live = read((events) => events.some((e) => e.kind === 'transition'));
    await new Promise((resolve) => setTimeout(resolve, 400));
    await registry.logVersion('told', constantModel(1));
    await registry.http
      .post('/api/v1/models/told/versions/1/promote')
      .send({ wait: 0 })
      .expect(200);
    const events = await live;
    const kinds = events.map((e) => e.kind);
    expect(kinds).toEqual(['model.created', 'version.created', 'version.compiled', 'transition']);
    expect(events.at(-1)).toMatchObject({ model: 'told', version: 1 });
    const rest = await read((e) => e.length === 2, events[1]?.id);
    expect(rest.map((e) => e.kind)).toEqual(['version.compiled', 'transition']);
  });

  it('lose none while 8 writers write', async () => {
    const begin = await read((e) => e.length > 0, '0-0').then((e) => e.at(-1)?.id ?? '0-0');
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; i < 10; i++) {
        await registry.http
          .post('/api/v1/models')
          .send({ name: `w-${writer}-${i}` })
          .expect(201);
      }
    });
    const seen = await read((e) => e.filter((x) => x.model?.startsWith('w-')).length >= 80, begin);
    await Promise.all(writers);
    expect(new Set(seen.filter((e) => e.model?.startsWith('w-')).map((e) => e.model)).size).toBe(
      80,
    );
  });

  it('refuse a Last-Event-ID that is none, and say 410 for one that is no longer kept', async () => {
    const get = (id: string) =>
      fetch(`${registry.url}/api/v1/events`, { headers: { 'Last-Event-ID': id } });
    expect((await get('yesterday')).status).toBe(400);
    expect((await get('1-1')).status).toBe(410);
    // Of another database: nothing would ever come after it.
    expect((await get('999999999999-1')).status).toBe(410);
  });
});
