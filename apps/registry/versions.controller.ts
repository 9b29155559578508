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
  ApiAcceptedResponse,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiTags,
  ApiOperation,
} from '@nestjs/swagger';
import { CompileService, LineageService, VersionsService } from '#registry';
import { EtagInterceptor } from './etag.interceptor.js';
import { checkInputExample } from './input-example.js';
import { IdempotencyInterceptor } from './idempotency.interceptor.js';
import { LineageDto, LineageQueryDto } from './lineage.dto.js';
import { ListQueryDto } from './list.dto.js';
import { Asker, IfMatch, type RequestContext } from './request.js';
import { CreateVersionDto, UpdateVersionDto, VersionDto, VersionPageDto } from './versions.dto.js';

@ApiTags('versions')
@Controller('api/v1/models/:model/versions')
@UseInterceptors(EtagInterceptor, IdempotencyInterceptor)
export class VersionsController {
  constructor(
    private readonly versions: VersionsService,
    private readonly compiler: CompileService,
    private readonly lineage: LineageService,
  ) {}

  @Post()
  @ApiOperation({
    summary:
      'Makes the next version from blobs that are stored; the model too, where there is none.',
  })
  @ApiCreatedResponse({ type: VersionDto })
  async createVersion(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Body() body: CreateVersionDto,
  ): Promise<VersionDto> {
    checkInputExample(body.inputExample);
    return this.versions.create(context, model, body);
  }

  @Get()
  @ApiOperation({
    summary: 'Lists the versions of a model, newest first unless `order` says otherwise.',
  })
  @ApiOkResponse({ type: VersionPageDto })
  listVersions(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Query() query: ListQueryDto,
  ): Promise<VersionPageDto> {
    return this.versions.list(context, model, query);
  }

  @Get(':version')
  @ApiOperation({
    summary: 'One version: a number, `@alias`, `production`, `staging` or `latest`.',
  })
  @ApiOkResponse({ type: VersionDto })
  getVersion(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
  ): Promise<VersionDto> {
    return this.versions.get(context, model, version);
  }

  @Patch(':version')
  @ApiOperation({
    summary:
      'Changes the description, tags and metadata of a version; nothing else of it ever changes.',
  })
  @ApiOkResponse({ type: VersionDto })
  updateVersion(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
    @Body() body: UpdateVersionDto,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<VersionDto> {
    return this.versions.update(context, model, version, body, ifMatch);
  }

  @Delete(':version')
  @ApiOperation({
    summary: 'Deletes a version that is not being served; its number is not used again.',
  })
  @HttpCode(204)
  @ApiNoContentResponse()
  deleteVersion(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<void> {
    return this.versions.delete(context, model, version, ifMatch);
  }

  @Post(':version/check')
  @ApiOperation({
    summary: 'Compiles and verifies the version again, as after an upgrade of the server.',
  })
  @HttpCode(202)
  @ApiAcceptedResponse({ type: VersionDto })
  async checkVersion(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
  ): Promise<VersionDto> {
    const found = await this.versions.get(context, model, version);
    await this.compiler.checkAgain(found.id, context.trace);
    return this.versions.get(context, model, String(found.version));
  }

  @Get(':version/lineage')
  @ApiOperation({ summary: 'What the version was made from, and what was made from it.' })
  @ApiOkResponse({ type: LineageDto })
  getLineage(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
    @Query() { direction, depth }: LineageQueryDto,
  ): Promise<LineageDto> {
    return this.lineage.of(context, model, version, direction, depth);
  }
}
