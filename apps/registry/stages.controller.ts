import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Post,
  Put,
  Query,
  UseInterceptors,
} from '@nestjs/common';
import {
  ApiBody,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiTags,
  ApiOperation,
} from '@nestjs/swagger';
import { StagesService } from '#registry';
import { IdempotencyInterceptor } from './idempotency.interceptor.js';
import { ListQueryDto } from './list.dto.js';
import { Asker, IfMatch, type RequestContext } from './request.js';
import {
  PromoteDto,
  RollbackDto,
  SetAliasDto,
  TransitionAnswerDto,
  TransitionPageDto,
} from './stages.dto.js';

@ApiTags('stages')
@Controller('api/v1/models/:model')
@UseInterceptors(IdempotencyInterceptor)
export class StagesController {
  constructor(private readonly stages: StagesService) {}

  @Post('versions/:version/promote')
  @ApiOperation({
    summary:
      'Puts a version into a stage, Production unless said otherwise, and answers when serving answers with it.',
  })
  @HttpCode(200)
  @ApiBody({ type: PromoteDto, required: false })
  @ApiOkResponse({ type: TransitionAnswerDto })
  promote(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
    @Body() { stage = 'Production', ...options }: PromoteDto,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<TransitionAnswerDto> {
    return this.stages.promote(context, model, version, stage, { ...options, ifMatch });
  }

  @Post('rollback')
  @ApiOperation({
    summary: 'Goes back to the version that was there before; repeated, to the one before that.',
  })
  @HttpCode(200)
  @ApiBody({ type: RollbackDto, required: false })
  @ApiOkResponse({ type: TransitionAnswerDto })
  rollback(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Body() { reason, ifCurrent, wait }: RollbackDto,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<TransitionAnswerDto> {
    return this.stages.rollback(context, model, { reason, ifCurrent, wait, ifMatch });
  }

  @Get('transitions')
  @ApiOperation({
    summary: 'Who moved what, when and why, newest first; of a deleted model by its id.',
  })
  @ApiOkResponse({ type: TransitionPageDto })
  listTransitions(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Query() query: ListQueryDto,
  ): Promise<TransitionPageDto> {
    return this.stages.transitions(context, model, query);
  }

  @Put('aliases/:alias')
  @ApiOperation({ summary: 'Moves an alias to a version; makes it where there is none.' })
  @ApiOkResponse({ type: TransitionAnswerDto })
  setAlias(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('alias') alias: string,
    @Body() { version, ...options }: SetAliasDto,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<TransitionAnswerDto> {
    return this.stages.setAlias(context, model, alias, String(version), { ...options, ifMatch });
  }

  @Delete('aliases/:alias')
  @ApiOperation({ summary: 'Removes an alias; the version stays.' })
  @HttpCode(204)
  @ApiNoContentResponse()
  async deleteAlias(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('alias') alias: string,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<void> {
    await this.stages.deleteAlias(context, model, alias, { ifMatch });
  }
}
