import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import { catchError, from, map, mergeMap, type Observable, of, throwError } from 'rxjs';
import { AnswerKept, IdempotencyKeys, type KeptAnswer } from '#registry';
import { askerOf } from './request.js';

/** Headers that are part of an answer. */
const keptHeaders = ['location'];

/** Gives a POST that repeats an `Idempotency-Key` the first answer, and does nothing else then. */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(private readonly keys: IdempotencyKeys) {}

  async intercept(
    host: ExecutionContext,
    next: CallHandler<unknown>,
  ): Promise<Observable<unknown>> {
    const request = host.switchToHttp().getRequest<Request>();
    const response = host.switchToHttp().getResponse<Response>();
    const context = askerOf(request);
    if (!context.idempotency) return next.handle();
    const repeated = (kept: KeptAnswer | undefined): unknown => {
      for (const [name, value] of Object.entries(kept?.headers ?? {}))
        response.setHeader(name, value);
      return kept?.body;
    };
    const first = await this.keys.find(context);
    if (first) return of(repeated(first));
    return next.handle().pipe(
      mergeMap((body) =>
        this.keys.keep(context, {
          status: response.statusCode,
          headers: headersOf(response),
          body,
        }),
      ),
      catchError((error: unknown) =>
        error instanceof AnswerKept ? from(this.keys.find(context)) : throwError(() => error),
      ),
      map(repeated),
    );
  }
}

function headersOf(response: Response): Record<string, string> {
  return Object.fromEntries(
    keptHeaders.flatMap((name) => {
      const value = response.getHeader(name);
      return value === undefined ? [] : [[name, String(value)]];
    }),
  );
}
