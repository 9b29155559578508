import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DomainError } from './errors.js';
import { readJson, writeJson } from './json.js';

function refusal(body: Uint8Array | string): string {
  try {
    readJson(body);
  } catch (error) {
    if (error instanceof DomainError && error.code === 'INVALID_ARGUMENT') return error.message;
    throw error;
  }
  throw new Error(`Accepted: ${body.toString()}`);
}

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

describe('readJson', () => {
  it('reads what JSON.parse reads, and writes it back', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        fc.pre(!text.includes('__proto__'));
        fc.pre(!/\d{16}/.test(text.replaceAll(/\.\d+/g, '')));
        expect(readJson(Buffer.from(text))).toEqual(JSON.parse(text));
        expect(writeJson(readJson(text))).toBe(JSON.stringify(JSON.parse(text)));
      }),
    );
  });

  it('refuses with 400 whatever JSON.parse refuses, and nothing else', () => {
    const broken = fc
      .tuple(fc.json(), fc.nat(), fc.string({ maxLength: 3 }))
      .map(([json, at, noise]) => {
        const i = at % (json.length + 1);
        return json.slice(0, i) + noise + json.slice(i + 1);
      });
    fc.assert(
      fc.property(broken, (text) => {
        fc.pre(!text.includes('__proto__'));
        let valid = true;
        try {
          JSON.parse(text);
        } catch {
          valid = false;
        }
        if (valid) readJson(text);
        else expect(refusal(text)).toContain('not JSON');
      }),
      { numRuns: 500 },
    );
  });

  it('keeps 64-bit integers exact, in both directions', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt(-(2n ** 63n), 2n ** 64n - 1n)), (integers) => {
        const text = `{"a":[${integers.join(', ')}],"s":"9007199254740993"}`;
        const { a } = readJson(text) as { a: (number | bigint)[] };
        expect(a.map(BigInt)).toEqual(integers);
        for (const n of a.filter((n) => typeof n === 'bigint'))
          expect(Number.isSafeInteger(Number(n))).toBe(false);
        expect(writeJson({ a, s: '9007199254740993' })).toBe(text.replaceAll(', ', ','));
      }),
    );
  });

  it('leaves doubles with many digits alone', () => {
    const text = '[0.12345678901234567, 1.5e+22, 12345678901234567e0, -0.0, 1e400]';
    expect(readJson(text)).toEqual(JSON.parse(text));
  });

  it('refuses deep nesting before it parses', () => {
    expect(readJson(nested(64))).toBeDefined();
    expect(refusal(nested(65))).toContain('64 levels');
    expect(refusal('{"a":'.repeat(5_000_000))).toContain('64 levels');
    expect(readJson(`"${'['.repeat(100)}\\"["`)).toContain('[');
  });

  it('says where bytes are no UTF-8 and where text is no JSON', () => {
    expect(refusal(Buffer.from([0x22, 0xc3, 0xa4, 0xff, 0x22]))).toContain('byte 3');
    expect(
      refusal(Buffer.concat([Buffer.from('"\uFFFD'), Buffer.from([0xc3]), Buffer.from('"')])),
    ).toContain('byte 4');
    expect(refusal('{"a": 1,}')).toMatch(/position 8/);
    expect(refusal('{"a": 9007199254740993,}')).not.toMatch(/[0-9a-f]{8}-/);
  });

  it('refuses the key __proto__, however it is written', () => {
    expect(refusal('{"a": {"__proto__": {"polluted": 1}}}')).toContain('__proto__');
    expect(refusal('{"\\u005f_proto__": 1}')).toContain('__proto__');
    expect(readJson('{"a": "__proto__"}')).toEqual({ a: '__proto__' });
  });

  it('takes a byte order mark', () => {
    expect(readJson(Buffer.from('\uFEFF{}'))).toEqual({});
  });
});
