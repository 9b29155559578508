import { once } from 'node:events';
import { Controller, Get, Headers, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiTags, ApiOperation } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { Stopping } from '#platform';
import { EventsService } from '#registry';
import { Asker, type RequestContext } from './request.js';

const keepAliveEvery = 15_000;

/** What happens, as it happens. */
@ApiTags('events')
@Controller('api/v1/events')
export class EventsController {
  constructor(
    private readonly events: EventsService,
    private readonly stopping: Stopping,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'Server-sent events; `Last-Event-ID` goes on after that event without loss.',
  })
  @ApiOkResponse({ content: { 'text/event-stream': {} } })
  async follow(
    @Asker() context: RequestContext,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const headers = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' };
    if (request.method === 'HEAD') {
      response.writeHead(200, headers).end();
      return;
    }
    const gone = new AbortController();
    request.on('close', () => gone.abort());
    response.on('close', () => gone.abort());
    const ended = AbortSignal.any([gone.signal, this.stopping.signal]);
    const events = this.events.follow(context, lastEventId, ended);
    // The first step checks Last-Event-ID, so that a wrong one is still answered with a problem document.
    const begin = () => {
      if (response.headersSent) return;
      response.writeHead(200, headers);
      response.write(': events of Slipway\n\n');
    };
    const keepAlive = setInterval(
      () => response.headersSent && response.write(':\n\n'),
      keepAliveEvery,
    );
    const opening = setTimeout(begin, 200);
    try {
      for await (const event of events) {
        begin();
        const text = `id: ${event.id}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`;
        if (!response.write(text))
          await Promise.race([once(response, 'drain'), once(response, 'close')]);
      }
    } finally {
      clearTimeout(opening);
      clearInterval(keepAlive);
    }
    response.end();
  }
}
