import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { spanIn, traceHeaders } from './trace-context.js';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const parent = '00f067aa0ba902b7';
const traceparent = `00-${traceId}-${parent}-01`;

describe('a request with a traceparent', () => {
  it('is a new span of the trace, and passes both on', () => {
    const span = spanIn({ traceparent, tracestate: 'congo=t61rcWkgMzE, rojo=00f067aa0ba902b7' });
    expect(span).toMatchObject({ traceId, flags: '01' });
    expect(span?.spanId).toMatch(/^(?!0{16})[\da-f]{16}$/);
    expect(span?.spanId).not.toBe(parent);
    expect(span && traceHeaders(span)).toEqual({
      traceparent: `00-${traceId}-${span?.spanId}-01`,
      tracestate: 'congo=t61rcWkgMzE,rojo=00f067aa0ba902b7',
    });
  });

  it.each([
    ['00', '00'],
    ['01', '01'],
    ['03', '01'],
    ['fe', '00'],
    ['ff', '01'],
  ])('keeps of the flags %s what version 00 knows: %s', (given, kept) => {
    expect(spanIn({ traceparent: traceparent.replace(/01$/, given) })?.flags).toBe(kept);
  });

  it.each([
    '',
    '00',
    traceparent.replace('00-', '01-'),
    traceparent.replace('00-', 'ff-'),
    traceparent.replace('00-', '0-'),
    traceparent.toUpperCase(),
    ` ${traceparent}`,
    `${traceparent}\n`,
    `${traceparent}-01`,
    traceparent.slice(0, -1),
    traceparent.replace(traceId, '0'.repeat(32)),
    traceparent.replace(parent, '0'.repeat(16)),
    traceparent.replace(traceId, traceId.slice(1)),
    traceparent.replace('4bf9', '4bg9'),
    traceparent.replaceAll('-', '_'),
    `${traceparent},${traceparent}`,
  ])('that is broken has no trace: %j', (broken) => {
    expect(spanIn({ traceparent: broken, tracestate: 'a=b' })).toBeUndefined();
  });

  it('never takes what is not one', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
        expect(spanIn({ traceparent: text })).toBeUndefined();
      }),
    );
  });
});

describe('tracestate', () => {
  const stateOf = (tracestate: string) => spanIn({ traceparent, tracestate })?.state;

  it.each(['a=1', 'tenant@system=x y', 'a=1,b=2', 'a_-*/9=~', `k=${'v'.repeat(256)}`])(
    'goes on where it is sound: %j',
    (state) => expect(stateOf(state)).toBe(state),
  );

  it('may have empty members', () => expect(stateOf('a=1,, ,b=2')).toBe('a=1,b=2'));

  it.each([
    '',
    ',',
    'a',
    'A=1',
    '=1',
    'a=',
    'a=1,a=2',
    'a=b=c',
    'a=\u00e9',
    `a=${'v'.repeat(257)}`,
    Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(),
    Array.from({ length: 3 }, (_, i) => `k${i}=${'v'.repeat(200)}`).join(),
  ])('is dropped whole where it is not: %j', (state) => expect(stateOf(state)).toBeUndefined());

  it('without a traceparent means nothing', () => {
    expect(spanIn({ tracestate: 'a=1' })).toBeUndefined();
  });
});
