import {
  Body,
  Controller,
  Delete,
  Get,
  Head,
  HttpCode,
  Param,
  Patch,
  Post,
  Put,
  Query,
  Req,
  Res,
  UseInterceptors,
} from '@nestjs/common';
import {
  ApiBody,
  ApiHeader,
  ApiOkResponse,
  ApiParam,
  ApiQuery,
  ApiResponse,
  ApiTags,
  ApiOperation,
} from '@nestjs/swagger';
import type { Request, Response } from 'express';
import {
  BlobService,
  BlobVerifier,
  UploadService,
  type UploadPart,
  type UploadStatus,
} from '#artifacts';
import { RawBody } from '#http';
import { DomainError } from '#platform';
import { BlobUsers } from '#registry';
import { StoredBlobDto } from './blobs.dto.js';
import { IdempotencyInterceptor } from './idempotency.interceptor.js';
import { Asker, type RequestContext } from './request.js';
import { sendBlob } from './send-blob.js';
import { VerifiedDto, VerifyDto } from './verify.dto.js';

const bytes = { required: false, schema: { type: 'string', format: 'binary' } };
const location = { description: 'Address of the upload', schema: { type: 'string' } } as const;
const received = {
  description: '`0-{last}`; absent where there is nothing yet',
  schema: { type: 'string' },
} as const;

/** Bytes by their SHA-256: uploaded in the steps of the OCI Distribution specification, stored once. */
@ApiTags('blobs')
@Controller('api/v1/blobs')
@UseInterceptors(IdempotencyInterceptor)
export class BlobsController {
  constructor(
    private readonly blobs: BlobService,
    private readonly uploads: UploadService,
    private readonly verifier: BlobVerifier,
    private readonly users: BlobUsers,
  ) {}

  @Post('verify')
  @ApiOperation({
    summary:
      'Reads stored blobs for some seconds and compares them with their digests; go on with `next`.',
  })
  @HttpCode(200)
  @ApiBody({ type: VerifyDto, required: false })
  @ApiOkResponse({ type: VerifiedDto })
  async verifyBlobs(
    @Asker() context: RequestContext,
    @Body() { after, limit, model, version }: VerifyDto,
  ): Promise<VerifiedDto> {
    if (version !== undefined && model === undefined) {
      throw DomainError.invalid('/model', 'A version is one of a model: say which.');
    }
    const owners =
      model === undefined ? undefined : await this.users.ownersOf(context, model, version);
    const step = await this.verifier.step({
      owners,
      ...(after !== undefined && { after }),
      ...(limit !== undefined && { limit }),
    });
    const users = await this.users.usersOf(
      context,
      step.damaged.map(({ digest }) => digest),
    );
    const damaged = step.damaged.map((blob) => ({ ...blob, usedBy: users.get(blob.digest) ?? [] }));
    return { ...step, damaged };
  }

  @Head(':digest')
  @ApiOperation({ summary: 'Whether a blob is stored; one that is stays for an hour at least.' })
  @ApiParam({ name: 'digest', example: 'sha256:…' })
  @ApiOkResponse({
    headers: { 'Content-Length': { description: 'Its size', schema: { type: 'integer' } } },
  })
  async headBlob(
    @Param('digest') digest: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    await this.send(await this.blobs.keep(digest), request, response);
  }

  @Get(':digest')
  @ApiOperation({ summary: 'The bytes; with Range, If-Range and If-None-Match.' })
  @ApiParam({ name: 'digest', example: 'sha256:…' })
  @ApiOkResponse({ content: { 'application/octet-stream': {} } })
  async getBlob(
    @Param('digest') digest: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    await this.send(await this.blobs.get(digest), request, response);
  }

  @Post('uploads')
  @ApiOperation({ summary: 'Begins an upload.' })
  @RawBody()
  @HttpCode(202)
  @ApiResponse({ status: 202, headers: { Location: location } })
  async beginUpload(
    @Asker() context: RequestContext,
    @Res({ passthrough: true }) response: Response,
  ): Promise<void> {
    tell(response, await this.uploads.begin(context));
  }

  @Get('uploads/:id')
  @ApiOperation({
    summary:
      'How much of an upload is durable: where to go on, also after a restart or at another replica.',
  })
  @ApiResponse({ status: 204, headers: { Range: received, Location: location } })
  async getUpload(@Param('id') id: string, @Res() response: Response): Promise<void> {
    answer(response.status(204), await this.uploads.status(id));
  }

  @Patch('uploads/:id')
  @ApiOperation({ summary: 'Appends bytes.' })
  @RawBody()
  @ApiBody(bytes)
  @ApiHeader({ name: 'Content-Range', required: false, description: '`start-end`, both inclusive' })
  @ApiResponse({ status: 202, headers: { Range: received, Location: location } })
  @ApiResponse({ status: 416, headers: { Range: received, Location: location } })
  async appendUpload(
    @Param('id') id: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    await refusable(request, response, id, async () => {
      answer(response.status(202), await this.uploads.append(id, partOf(request)));
    });
  }

  @Put('uploads/:id')
  @ApiOperation({
    summary:
      'Ends an upload, with its last bytes or all of them, and stores the blob if its digest is right.',
  })
  @RawBody()
  @ApiBody(bytes)
  @ApiHeader({ name: 'Content-Range', required: false, description: '`start-end`, both inclusive' })
  @ApiQuery({ name: 'digest', type: String, example: 'sha256:…' })
  @ApiResponse({ status: 201, type: StoredBlobDto, headers: { Location: location } })
  async finishUpload(
    @Param('id') id: string,
    @Query('digest') digest: unknown,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    await refusable(request, response, id, async () => {
      if (typeof digest !== 'string') {
        throw DomainError.invalid(
          '/digest',
          'The query must have one digest: PUT …?digest=sha256:{hex}.',
        );
      }
      const blob: StoredBlobDto = await this.uploads.finish(id, digest, partOf(request));
      response.setHeader('ETag', `"${blob.digest}"`);
      response.status(201).location(`/api/v1/blobs/${blob.digest}`).json(blob);
    });
  }

  @Delete('uploads/:id')
  @ApiOperation({ summary: 'Gives an upload up.' })
  @HttpCode(204)
  async cancelUpload(@Param('id') id: string): Promise<void> {
    await this.uploads.cancel(id);
  }

  private send(
    blob: { digest: string; size: number },
    request: Request,
    response: Response,
  ): Promise<void> {
    const filename = blob.digest.replace(':', '-');
    return sendBlob(this.blobs, request, response, { ...blob, filename, immutable: true });
  }
}

function answer(response: Response, upload: UploadStatus): void {
  tell(response, upload);
  response.setHeader('Content-Length', 0);
  response.end();
}

/** Without bytes there is no Range: `0-0` would be one byte. */
function tell(response: Response, { id, received }: UploadStatus): void {
  response.setHeader('Location', `/api/v1/blobs/uploads/${id}`);
  if (received > 0) response.setHeader('Range', `0-${received - 1}`);
}

/**
 * The bytes of the request, and where they belong. `Content-Range` is `start-end` as in the OCI specification; the form
 * of HTTP, `bytes start-end/total`, is taken, too. Without it the bytes belong at the end.
 */
function partOf(request: Request): UploadPart {
  const text = request.headers['content-range'];
  if (text === undefined) return { content: request };
  const [, first, last] =
    /^(?:bytes[ =])?\s*(\d{1,15})-(\d{1,15})(?:\/(?:\d{1,15}|\*))?$/i.exec(text.trim()) ?? [];
  const start = Number(first);
  const length = Number(last) - start + 1;
  if (!first || !last || length < 1) {
    throw DomainError.invalid(
      '',
      `Content-Range must be "start-end", such as "0-1023"; it is "${text.slice(0, 60)}".`,
    );
  }
  const declared = request.headers['content-length'];
  if (declared !== undefined && Number(declared) !== length) {
    throw DomainError.invalid(
      '',
      `Content-Range says ${length} bytes, but Content-Length says ${declared}.`,
    );
  }
  return { content: request, start, length };
}

/** Bytes of a refused body that are read and thrown away, and for how long. */
const DRAIN_BYTES = 64 * 1024 * 1024;
const DRAIN_TIME = 5_000;

/**
 * A client that is still sending may not see an answer that comes before it is done: of a body that is refused, so much
 * is taken as clients usually send at once.
 */
async function refusable(
  request: Request,
  response: Response,
  id: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof DomainError && typeof error.extra?.received === 'number') {
      tell(response, { id, received: error.extra.received });
    }
    await drain(request);
    throw error;
  }
}

async function drain(request: Request): Promise<void> {
  if (request.readableEnded || request.destroyed) return;
  await new Promise<void>((resolve) => {
    let left = DRAIN_BYTES;
    const late = setTimeout(resolve, DRAIN_TIME);
    const end = () => {
      clearTimeout(late);
      resolve();
    };
    request.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) end();
    });
    request.once('end', end).once('close', end).resume();
  });
  request.pause();
}
