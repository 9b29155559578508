import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import { Logger, sendProblem } from '#platform';

/** The one place where an error of the registry app becomes an HTTP response. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    sendProblem(
      http.getRequest<IncomingMessage>(),
      http.getResponse<ServerResponse>(),
      error,
      this.logger,
    );
  }
}
