import type { SlipwayEvent } from './resources.js';
import { parseExact } from './exact-json.js';
import { piecesOf } from './source.js';
import { delayBefore, failureOf, pause } from './transport.js';
import type { Transport } from './transport.js';

const MIN_DELAY = 500;
const MAX_DELAY = 10_000;

/**
 * What happens at the server, one event after another, for ever. After a cut it goes on behind the last event that came.
 *
 * @throws SlipwayError `GONE` where events after `lastEventId` are no longer kept
 */
export async function* eventsFrom(
  transport: Transport,
  url: string,
  options: { lastEventId?: string; signal?: AbortSignal },
): AsyncGenerator<SlipwayEvent, undefined> {
  let { lastEventId } = options;
  const { signal } = options;
  for (let failures = 0; ;) {
    try {
      const headers = { accept: 'text/event-stream', 'last-event-id': lastEventId };
      const response = await transport.send(url, { headers, signal });
      for await (const message of messagesOf(response)) {
        failures = 0;
        lastEventId = message.id ?? lastEventId;
        if (message.data !== '') yield eventOf(message, lastEventId ?? '');
      }
    } catch (error) {
      const failure = failureOf(error, url, signal);
      if (failure.status !== 0 && failure.status !== 503 && failure.status !== 429) throw failure;
    }
    await pause(delayBefore(++failures, undefined, MIN_DELAY, MAX_DELAY), signal);
  }
}

interface Message {
  id: string | undefined;
  event: string;
  data: string;
}

/** Reads the event stream format (HTML standard, section 9.2.6). */
async function* messagesOf(response: Response): AsyncGenerator<Message, undefined> {
  const body = response.body;
  if (!body) return undefined;
  let message: Message = { id: undefined, event: '', data: '' };
  for await (const line of linesOf(piecesOf(body))) {
    if (line === '') {
      yield { ...message, data: message.data.replace(/\n$/, '') };
      message = { id: undefined, event: '', data: '' };
      continue;
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (field === 'id') message.id = value ?? '';
    if (field === 'event') message.event = value ?? '';
    if (field === 'data') message.data += `${value ?? ''}\n`;
  }
  return undefined;
}

async function* linesOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    yield* lines;
  }
  return undefined;
}

function eventOf({ event, data }: Message, id: string): SlipwayEvent {
  const value = parseExact(data);
  return { kind: event, ...(typeof value === 'object' ? value : { data: { value } }), id };
}
