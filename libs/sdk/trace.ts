import { SlipwayError } from './slipway-error.js';

/**
 * The W3C trace that requests belong to, as the header `traceparent` has it: `00-{32 hex}-{16 hex}-{2 hex}`; or a function that
 * is asked before each request, such as one that names the present span of OpenTelemetry; `undefined` = none.
 */
export type Trace = string | (() => string | undefined);

const TRACEPARENT = /^00-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/;

/** Whether the text is a `traceparent` of version 00. */
export function isTraceparent(text: string): boolean {
  return TRACEPARENT.test(text);
}

/** A `traceparent` that begins a new trace; with `sampled` it asks everybody on its way to record it. */
export function newTraceparent(sampled = false): string {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  // Ids of zeros are none.
  bytes[15] = (bytes[15] ?? 0) | 1;
  bytes[23] = (bytes[23] ?? 0) | 1;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `00-${hex.slice(0, 32)}-${hex.slice(32)}-${sampled ? '01' : '00'}`;
}

/** The header of the next request. @throws SlipwayError where it would be a broken one */
export function traceparentOf(trace: Trace | undefined): string | undefined {
  const text = typeof trace === 'function' ? trace() : trace;
  if (text === undefined || isTraceparent(text)) return text;
  throw new SlipwayError(
    `${JSON.stringify(text)} is no traceparent, like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.`,
    { code: 'INVALID_ARGUMENT' },
  );
}
