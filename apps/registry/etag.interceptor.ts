import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import type { Response } from 'express';
import { map, type Observable } from 'rxjs';

/** Repeats the `etag` field of a resource as the ETag header. */
@Injectable()
export class EtagInterceptor implements NestInterceptor {
  intercept(host: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    return next.handle().pipe(
      map((answer) => {
        if (typeof answer === 'object' && answer !== null && 'etag' in answer) {
          host.switchToHttp().getResponse<Response>().setHeader('ETag', String(answer.etag));
        }
        return answer;
      }),
    );
  }
}
