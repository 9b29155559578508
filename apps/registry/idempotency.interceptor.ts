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
    const { idempotency } = context;
    if (!idempotency) return next.handle();
    const told = (kept: KeptAnswer | undefined): unknown => {
      for (const [name, value] of Object.entries(kept?.headers ?? {}))
        response.setHeader(name, value);
      return kept?.body;
    };
    const first = await this.keys.find(context);
    if (first) {
      this.keys.repeats++;
      return of(told(first));
    }
    return next.handle().pipe(
      mergeMap((body) =>
        this.keys.keep(context, {
          status: response.statusCode,
          headers: headersOf(response),
          body,
        }),
      ),
      catchError((error: unknown) => {
        if (!(error instanceof AnswerKept)) return throwError(() => error);
        idempotency.repeated = true;
        return from(this.keys.find(context));
      }),
      map((answer) => {
        if (idempotency.repeated) this.keys.repeats++;
        return told(answer);
      }),
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
