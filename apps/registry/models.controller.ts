import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Patch,
  Post,
  Query,
  UseInterceptors,
} from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiTags,
  ApiOperation,
} from '@nestjs/swagger';
import { ModelsService } from '#registry';
import { Asker, type RequestContext, IfMatch } from './request.js';
import { EtagInterceptor } from './etag.interceptor.js';
import { IdempotencyInterceptor } from './idempotency.interceptor.js';
import { ListQueryDto } from './list.dto.js';
import {
  CreateModelDto,
  DeleteModelQueryDto,
  ModelDto,
  ModelPageDto,
  UpdateModelDto,
} from './models.dto.js';

@ApiTags('models')
@Controller('api/v1/models')
@UseInterceptors(EtagInterceptor, IdempotencyInterceptor)
export class ModelsController {
  constructor(private readonly models: ModelsService) {}

  @Post()
  @ApiOperation({ summary: 'Makes a model. Logging a version makes it too, where there is none.' })
  @ApiCreatedResponse({ type: ModelDto })
  createModel(@Asker() context: RequestContext, @Body() body: CreateModelDto): Promise<ModelDto> {
    return this.models.create(context, body);
  }

  @Get()
  @ApiOperation({ summary: 'Lists models, by name unless `order` says otherwise.' })
  @ApiOkResponse({ type: ModelPageDto })
  listModels(
    @Asker() context: RequestContext,
    @Query() query: ListQueryDto,
  ): Promise<ModelPageDto> {
    return this.models.list(context, query);
  }

  @Get(':model')
  @ApiOperation({ summary: 'One model, with what is in production and what answers.' })
  @ApiOkResponse({ type: ModelDto })
  getModel(@Asker() context: RequestContext, @Param('model') model: string): Promise<ModelDto> {
    return this.models.getByName(context, model);
  }

  @Patch(':model')
  @ApiOperation({
    summary: 'Changes the name, description, tags, metadata of a model, or what serving follows.',
  })
  @ApiOkResponse({ type: ModelDto })
  updateModel(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Body() body: UpdateModelDto,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<ModelDto> {
    return this.models.update(context, model, body, ifMatch);
  }

  @Delete(':model')
  @ApiOperation({
    summary: 'Deletes a model with its versions; one that is being served only with `?force=true`.',
  })
  @HttpCode(204)
  @ApiNoContentResponse()
  deleteModel(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Query() { force }: DeleteModelQueryDto,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<void> {
    return this.models.delete(context, model, { force: force === 'true', ifMatch });
  }
}
