import { BadRequestException, NotFoundException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { Type } from 'class-transformer';
import { IsInt, IsString, MaxLength, validateSync, ValidateNested } from 'class-validator';
import { DomainError, type ErrorCode } from './errors.js';
import { problemHeaders, problemOf, statusOf } from './problem.js';
import { validationProblem } from './validation.js';

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

describe('faults that class-validator finds', () => {
  class Inner {
    @IsInt()
    version: number;
  }
  class Outer {
    @IsString()
    @MaxLength(3)
    name: string;
    @ValidateNested({ each: true })
    @Type(() => Inner)
    parents: Inner[];
  }
  const check = (fields: object) => {
    const options = { whitelist: true, forbidNonWhitelisted: true };
    return validationProblem(validateSync(Object.assign(new Outer(), fields), options));
  };

  it('have JSON pointers, also inside arrays', () => {
    const inner = Object.assign(new Inner(), { version: 'x' });
    const { errors } = check({
      name: 'a',
      parents: [Object.assign(new Inner(), { version: 1 }), inner],
    });
    expect(errors).toEqual([
      { pointer: '/parents/1/version', message: 'must be an integer number; got "x"' },
    ]);
  });

  it('name the field that was meant', () => {
    const { errors } = check({ name: 'a', parents: [], 'na/~me': 1 });
    expect(errors).toEqual([
      { pointer: '/na~1~0me', message: expect.stringContaining('did you mean "name"?') },
    ]);
  });

  it('say what is missing', () => {
    expect(check({ parents: [] }).errors).toEqual(
      expect.arrayContaining([{ pointer: '/name', message: 'must be a string; it is missing' }]),
    );
  });
});
