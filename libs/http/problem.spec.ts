import { BadRequestException, NotFoundException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { Transform, Type } from 'class-transformer';
import { IsInt, IsObject, IsOptional, IsString, MaxLength, ValidateNested } from 'class-validator';
import { DomainError, type ErrorCode, problemHeaders, problemOf, statusOf } from '#platform';
import { ValidateDto } from './validation.js';

const expected: Record<ErrorCode, number> = {
  INVALID_ARGUMENT: 400,
  DIGEST_MISMATCH: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  ALREADY_EXISTS: 409,
  CONFLICT: 409,
  FAILED_PRECONDITION: 409,
  BLOB_MISSING: 409,
  GONE: 410,
  ETAG_MISMATCH: 412,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RANGE_NOT_SATISFIABLE: 416,
  IDEMPOTENCY_KEY_REUSED: 422,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
};

it.each(Object.entries(expected) as [ErrorCode, number][])('%s is %i', (code, status) => {
  expect(statusOf(code)).toBe(status);
  const problem = problemOf(new DomainError(code, 'why'), 't');
  expect(problem).toMatchObject({ status, code, detail: 'why' });
  expect(problem.type).toMatch(/^urn:slipway:problem:[a-z-]+$/);
  expect(problem.title).not.toBe('');
});

it('carries errors, extra members and Retry-After', () => {
  const problem = problemOf(
    new DomainError('UNAVAILABLE', 'later', {
      retryAfter: 3,
      extra: { missing: ['a'], status: 1 },
      errors: [{ pointer: '/x', message: 'm' }],
    }),
    't',
  );
  expect(problem).toMatchObject({ status: 503, missing: ['a'], retryAfter: 3 });
  expect(problem.errors).toEqual([{ pointer: '/x', message: 'm' }]);
  expect(problemHeaders(problem)['retry-after']).toBe('3');
});

it('hides what nobody expected', () => {
  const problem = problemOf(new Error('password is 123'), 'abc');
  expect(problem).toMatchObject({ status: 500, code: 'INTERNAL', trace: 'abc' });
  expect(JSON.stringify(problem)).not.toContain('password');
});

it.each([
  [new NotFoundException('no such page'), 404],
  [new BadRequestException(['a', 'b']), 400],
  [Object.assign(new Error('Failed to decode param'), { status: 400 }), 400],
])('knows errors of Nest and Express', (error, status) => {
  expect(problemOf(error, 't').status).toBe(status);
});

describe('errors of the database', () => {
  const pgError = (code: string) => Object.assign(new Error('pg'), { code });
  const wrapped = (code: string) => Object.assign(new Error(), { driverError: pgError(code) });

  it.each(['ECONNREFUSED', 'ECONNRESET', '57P01', '08006', '53300', '57014', '40001', '40P01'])(
    '%s may be tried again',
    (code) => {
      for (const error of [pgError(code), wrapped(code), new AggregateError([pgError(code)])]) {
        expect(problemOf(error, 't')).toMatchObject({ status: 503, retryAfter: 1 });
      }
    },
  );

  it.each(['Connection terminated unexpectedly', 'timeout exceeded when trying to connect'])(
    '"%s" may be tried again',
    (message) => expect(problemOf(new Error(message), 't').status).toBe(503),
  );

  it.each(['22P02', '22001', '22021', '22P05', '22003', '54000'])('%s is the data', (code) =>
    expect(problemOf(wrapped(code), 't').status).toBe(400),
  );

  it('a wrong statement of ours stays a fault of ours', () => {
    expect(problemOf(wrapped('42601'), 't').status).toBe(500);
  });
});

describe('a DTO', () => {
  class Inner {
    @IsInt()
    version: number;
  }
  class Outer {
    @IsString()
    @MaxLength(3)
    name: string;
    @IsOptional()
    @ValidateNested({ each: true })
    @Type(() => Inner)
    parents?: Inner[];
    @IsOptional()
    @ValidateNested()
    @Type(() => Inner)
    parent?: Inner;
    @IsOptional()
    @Transform(({ value }: { value: unknown }) => (value === '5' ? 5 : value))
    @IsInt()
    count?: number;
    @IsOptional()
    @IsObject()
    metadata?: object;
  }
  const check = (value: unknown) =>
    new ValidateDto().transform(value, { type: 'body', metatype: Outer });
  const errorsOf = async (value: unknown) => {
    const error: unknown = await check(value).catch((e: unknown) => e);
    return error instanceof DomainError ? error.errors : undefined;
  };

  it('is made, with the DTOs inside it', async () => {
    const made = await check({ name: 'a', parents: [{ version: 1 }], count: '5' });
    expect(made).toEqual({ name: 'a', parents: [{ version: 1 }], count: 5 });
    expect(made).toBeInstanceOf(Outer);
    expect((made as Outer).parents?.[0]).toBeInstanceOf(Inner);
  });

  it('leaves alone what is no DTO', async () => {
    const metadata = { constructor: { a: 1 }, toString: null, list: [[1n]] };
    expect(((await check({ name: 'a', metadata })) as Outer).metadata).toBe(metadata);
  });

  it('tells faults with JSON pointers, also inside arrays', async () => {
    expect(await errorsOf({ name: 'a', parents: [{ version: 1 }, { version: 'x' }] })).toEqual([
      { pointer: '/parents/1/version', message: 'must be an integer number; got "x"' },
    ]);
  });

  it.each(['na/~me', 'constructor', 'toString', 'hasOwnProperty'])(
    'refuses the unknown field %s, wherever it is',
    async (key) => {
      const pointer = key.replace('~', '~0').replace('/', '~1');
      expect(await errorsOf({ name: 'a', [key]: 1, parents: [{ version: 1, [key]: {} }] })).toEqual(
        [
          {
            pointer: `/parents/0/${pointer}`,
            message: expect.stringContaining('Known are version'),
          },
          { pointer: `/${pointer}`, message: expect.stringContaining('is not a known field') },
        ].toReversed(),
      );
    },
  );

  it('names the field that was meant, and what is missing', async () => {
    expect(await errorsOf({ nam: 1 })).toEqual([
      { pointer: '/nam', message: expect.stringContaining('did you mean "name"?') },
      { pointer: '/name', message: expect.stringMatching(/; it is missing$/) },
      { pointer: '/name', message: expect.stringMatching(/; it is missing$/) },
    ]);
  });

  it('is never an array, a string or a number', async () => {
    for (const value of [[], 'a', 1, null]) expect(await errorsOf(value)).toBeDefined();
    for (const parents of ['a', 1, {}]) {
      expect(await errorsOf({ name: 'a', parents })).toEqual([
        {
          pointer: '/parents',
          message: expect.stringMatching(/^must be an array of objects; got/),
        },
      ]);
    }
    for (const item of [1, [], null, 'a']) {
      expect(await errorsOf({ name: 'a', parents: [{ version: 1 }, item] })).toEqual([
        { pointer: '/parents/1', message: expect.stringMatching(/^must be an object; got/) },
      ]);
    }
    expect(await errorsOf({ name: 'a', parent: [] })).toEqual([
      { pointer: '/parent', message: 'must be an object; got an array of 0' },
    ]);
  });
});
