import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** Where a request stands in a distributed trace: W3C Trace Context, Recommendation of 2021-11-23. */
export interface Span {
  /** 32 hexadecimal digits, the same for everything that one cause has set off. */
  traceId: string;
  /** 16 hexadecimal digits: this request here. */
  spanId: string;
  /** Two hexadecimal digits as they came; bit 0 says that the trace is recorded. */
  flags: string;
  /** `tracestate` as it came, where it is a sound one. */
  state: string | undefined;
}

const TRACEPARENT = /^00-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})$/;
const ZEROS = /^0+$/;
const MAX_STATE = 512;
const MAX_MEMBERS = 32;
const MEMBER =
  /^(?:[a-z][a-z\d_\-*/]{0,255}|[a-z\d][a-z\d_\-*/]{0,240}@[a-z][a-z\d_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

const spans = new WeakMap<IncomingMessage, Span>();

/** The span of a request: a part of the trace that its headers name, else the beginning of a new one. The same at each call. */
export function spanOf(request: IncomingMessage): Span {
  let span = spans.get(request);
  if (!span) {
    span = spanIn(request.headers) ?? newSpan();
    spans.set(request, span);
  }
  return span;
}

/**
 * A new span in the trace that the headers name; undefined where they name none, or not as the specification says: a version
 * other than 00, capital letters, ids that are all zeros.
 */
export function spanIn(headers: IncomingHttpHeaders): Span | undefined {
  const { traceparent, tracestate } = headers;
  const [, traceId, parent, flags] =
    (typeof traceparent === 'string' && TRACEPARENT.exec(traceparent)) || [];
  if (!traceId || !parent || !flags || ZEROS.test(traceId) || ZEROS.test(parent)) return undefined;
  // Only the bits that version 00 knows go on.
  const known = (Number.parseInt(flags, 16) & 1).toString(16).padStart(2, '0');
  return { traceId, spanId: newId(8), flags: known, state: readState(tracestate) };
}

/** The headers that make a request of ours a part of the trace. */
export function traceHeaders({ traceId, spanId, flags, state }: Span): Record<string, string> {
  return {
    traceparent: `00-${traceId}-${spanId}-${flags}`,
    ...(state !== undefined && { tracestate: state }),
  };
}

function newSpan(): Span {
  // Nobody has decided to record it.
  return { traceId: newId(16), spanId: newId(8), flags: '00', state: undefined };
}

function newId(bytes: number): string {
  for (;;) {
    const id = randomBytes(bytes).toString('hex');
    if (!ZEROS.test(id)) return id;
  }
}

/** A `tracestate` that is broken anywhere is dropped whole. */
function readState(header: string | string[] | undefined): string | undefined {
  const text = [header ?? []].flat().join(',');
  const members = text.split(',').flatMap((member) => member.trim() || []);
  if (!members.length || members.length > MAX_MEMBERS || text.length > MAX_STATE) return undefined;
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))));
  if (keys.size < members.length || !members.every((member) => MEMBER.test(member)))
    return undefined;
  return members.join(',');
}
