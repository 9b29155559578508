import { Controller, Get, HttpCode, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiTags, ApiOperation } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { Config, DomainError, RawBody } from '#platform';
import { ModelsService, ServingStatus, StatisticsService } from '#registry';
import { passOn } from './pass-on.js';
import { Asker, type RequestContext } from './request.js';
import { ServingProcessesDto, StatisticsDto, StatisticsQueryDto } from './serving.dto.js';

const anHour = 3_600_000;
const longest = 31 * 24 * anHour;

/** What serving does for a model, and predictions for browsers that reach only this port. */
@ApiTags('serving')
@Controller('api/v1/models/:model')
export class ServingController {
  constructor(
    private readonly models: ModelsService,
    private readonly status: ServingStatus,
    private readonly statistics: StatisticsService,
    private readonly config: Config,
  ) {}

  @Get('serving')
  @ApiOperation({ summary: 'What each live serving process answers with.' })
  @ApiOkResponse({ type: ServingProcessesDto })
  async getServing(
    @Asker() context: RequestContext,
    @Param('model') model: string,
  ): Promise<ServingProcessesDto> {
    const { id } = await this.models.find(context, model);
    return { items: await this.status.processes(id) };
  }

  @Get('stats')
  @ApiOperation({ summary: 'Requests, errors and latency by minute and version.' })
  @ApiOkResponse({ type: StatisticsDto })
  async getStatistics(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Query() query: StatisticsQueryDto,
  ): Promise<StatisticsDto> {
    const to = query.to === undefined ? new Date() : new Date(query.to);
    const from = query.from === undefined ? new Date(to.getTime() - anHour) : new Date(query.from);
    if (from >= to || to.getTime() - from.getTime() > longest) {
      throw DomainError.invalid(
        '/from',
        'The time from `from` to `to` must be positive and at most 31 days.',
      );
    }
    const { id } = await this.models.find(context, model);
    return { items: await this.statistics.ofModel(id, from, to) };
  }

  @Post('infer')
  @ApiOperation({ summary: 'Passes a prediction on to serving.' })
  @RawBody()
  @HttpCode(200)
  @ApiBody({ type: Object, description: 'A V2 infer request' })
  @ApiOkResponse({ type: Object })
  infer(
    @Param('model') model: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    return passOn(this.config, `/v2/models/${encodeURIComponent(model)}/infer`, request, response);
  }

  @Post('versions/:version/infer')
  @ApiOperation({ summary: 'Passes a prediction of one version on to serving.' })
  @RawBody()
  @HttpCode(200)
  @ApiBody({ type: Object, description: 'A V2 infer request' })
  @ApiOkResponse({ type: Object })
  inferVersion(
    @Param('model') model: string,
    @Param('version') version: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const path = `/v2/models/${encodeURIComponent(model)}/versions/${encodeURIComponent(version)}/infer`;
    return passOn(this.config, path, request, response);
  }
}
