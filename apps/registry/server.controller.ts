import { Body, Controller, Get, HttpCode, Post, UseInterceptors } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiTags, ApiOperation } from '@nestjs/swagger';
import { GarbageCollector } from '#artifacts';
import { importers } from '#formats';
import { Config, productVersion } from '#platform';
import { CollectDto, CollectedDto, ServerDto } from './server.dto.js';
import { IdempotencyInterceptor } from './idempotency.interceptor.js';

const defaultGrace = 3600;

@ApiTags('server')
@Controller('api/v1')
@UseInterceptors(IdempotencyInterceptor)
export class ServerController {
  constructor(
    private readonly config: Config,
    private readonly garbage: GarbageCollector,
  ) {}

  @Get('server')
  @ApiOperation({ summary: 'What runs here, and where predictions are answered.' })
  @ApiOkResponse({ type: ServerDto })
  getServer(): ServerDto {
    const { MAX_BODY, MAX_ROWS, PREDICT_TIMEOUT, SERVING_URL } = this.config;
    return {
      version: productVersion,
      servingUrl: SERVING_URL,
      formats: importers.map((importer) => importer.format),
      limits: { maxBody: MAX_BODY, maxRows: MAX_ROWS, predictTimeout: PREDICT_TIMEOUT },
    };
  }

  @Post('gc')
  @ApiOperation({
    summary:
      'Removes given-up uploads and blobs that nothing needs any more; happens by itself too.',
  })
  @HttpCode(200)
  @ApiBody({ type: CollectDto, required: false })
  @ApiOkResponse({ type: CollectedDto })
  collectGarbage(
    @Body() { graceSeconds = defaultGrace, dryRun = false }: CollectDto,
  ): Promise<CollectedDto> {
    return this.garbage.collect({ grace: graceSeconds, dryRun });
  }
}
