import { Controller, Get, Param, Query, Req, Res } from '@nestjs/common';
import { ApiOkResponse, ApiParam, ApiTags, ApiOperation } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { BlobService } from '#artifacts';
import { DomainError } from '#platform';
import { VersionsService } from '#registry';
import { sendArchive } from './archive.js';
import { ArchiveQueryDto, ManifestDto } from './files.dto.js';
import { Asker, type RequestContext } from './request.js';
import { attachment, sendBlob } from './send-blob.js';

interface BlobOfProgram {
  path: string;
  digest: string;
  size: number;
}

/** What a version is made of: its files, and the Program compiled from them. */
@ApiTags('files')
@Controller('api/v1/models/:model/versions/:version')
export class FilesController {
  constructor(
    private readonly versions: VersionsService,
    private readonly blobs: BlobService,
  ) {}

  @Get('files')
  @ApiOperation({
    summary:
      'The manifest: paths, digests, sizes, and what loading each pickle in Python would bring in.',
  })
  @ApiOkResponse({ type: ManifestDto })
  async listFiles(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
  ): Promise<ManifestDto> {
    const { digest, size, files } = await this.versions.get(context, model, version);
    const scans = await this.versions.scans(digest);
    const scanned = files?.map((file) => {
      const scan = scans.get(file.path);
      return scan ? { ...file, scan } : file;
    });
    return { digest, size, files: scanned ?? null };
  }

  @Get('files/*path')
  @ApiOperation({ summary: 'The bytes of a file; also by HEAD, with Range and If-None-Match.' })
  @ApiParam({ name: 'path', type: String })
  @ApiOkResponse({ content: { 'application/octet-stream': {} } })
  async getFile(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
    @Param('path') path: string[],
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const name = path.join('/');
    const { files } = await this.versions.get(context, model, version);
    const file = files?.find((f) => f.path === name);
    if (!file) throw noFile(model, version, name);
    await sendBlob(this.blobs, request, response, { ...file, filename: path.at(-1) ?? name });
  }

  @Get('archive')
  @ApiOperation({ summary: 'All files as one archive, streamed.' })
  @ApiOkResponse({ content: { 'application/x-tar': {}, 'application/zip': {} } })
  async getArchive(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
    @Query() { format }: ArchiveQueryDto,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const found = await this.versions.get(context, model, version);
    if (!found.files) throw noFile(model, version, '');
    response.setHeader('Content-Type', format === 'zip' ? 'application/zip' : 'application/x-tar');
    const filename = `${found.model}-${found.version}.${format}`;
    response.setHeader('Content-Disposition', attachment(filename));
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    const files = found.files.map(({ path, digest, size }) => ({
      path,
      size,
      open: () => this.blobs.open(digest),
    }));
    await sendArchive(response, format, new Date(found.createdAt), files);
  }

  @Get('program')
  @ApiOperation({
    summary: '`program.json` of the compiled version; it names its weights and files by digest.',
  })
  @ApiOkResponse({ type: Object })
  async getProgram(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const digest = await this.versions.programDigest(context, model, version);
    const { size } = await this.blobs.get(digest);
    await sendBlob(this.blobs, request, response, {
      digest,
      size,
      filename: 'program.json',
      type: 'application/json',
    });
  }

  @Get('program/weights')
  @ApiOperation({ summary: 'The weights of the Program, as bytes.' })
  @ApiOkResponse({ content: { 'application/octet-stream': {} } })
  async getWeights(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const { weights } = await this.program(context, model, version);
    await sendBlob(this.blobs, request, response, { ...weights, filename: 'weights.bin' });
  }

  @Get('program/files/*path')
  @ApiOperation({
    summary: 'A part of the Program that is a file of the version, such as an ONNX graph.',
  })
  @ApiParam({ name: 'path', type: String })
  @ApiOkResponse({ content: { 'application/octet-stream': {} } })
  async getProgramFile(
    @Asker() context: RequestContext,
    @Param('model') model: string,
    @Param('version') version: string,
    @Param('path') path: string[],
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const name = path.join('/');
    const { files } = await this.program(context, model, version);
    const file = files.find((f) => f.path === name);
    if (!file) throw noFile(model, version, name);
    await sendBlob(this.blobs, request, response, { ...file, filename: path.at(-1) ?? name });
  }

  private async program(
    context: RequestContext,
    model: string,
    version: string,
  ): Promise<{ weights: BlobOfProgram; files: BlobOfProgram[] }> {
    const digest = await this.versions.programDigest(context, model, version);
    const chunks: Buffer[] = [];
    for await (const chunk of await this.blobs.open(digest)) chunks.push(chunk as Buffer);
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
      weights: BlobOfProgram;
      files: BlobOfProgram[];
    };
  }
}

function noFile(model: string, version: string, path: string): DomainError {
  const list = `/api/v1/models/${encodeURIComponent(model)}/versions/${encodeURIComponent(version)}/files`;
  return DomainError.notFound(
    `The file ${JSON.stringify(path.slice(0, 200))} of version ${version} of "${model}"`,
    `List what there is with GET ${list}.`,
  );
}
