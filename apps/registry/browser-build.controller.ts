import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Controller, Get, Res } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { Response } from 'express';
import { DomainError } from '#platform';

const library = new URL('../../sdk/program.js', import.meta.url);
const page = new URL('../../../examples/predict-in-a-browser.html', import.meta.url);

/**
 * What runs Programs in browsers: libs/program as one ES module, and a page that uses it. The number in the path is that of
 * the schema of the Programs that it reads.
 */
@ApiExcludeController()
@Controller('sdk/v1')
export class BrowserBuildController {
  @Get('program.js')
  async getLibrary(@Res() response: Response): Promise<void> {
    response.type('text/javascript; charset=utf-8').send(await read(library));
  }

  @Get('predict.html')
  async getPage(@Res() response: Response): Promise<void> {
    const text = await read(page);
    const [, script = ''] = /<script type="module">([^]*?)<\/script>/.exec(text) ?? [];
    const digest = createHash('sha256').update(script).digest('base64');
    // The forest kernels are WebAssembly.
    response.setHeader(
      'content-security-policy',
      `default-src 'none'; connect-src 'self'; script-src 'self' 'sha256-${digest}' 'wasm-unsafe-eval'; ` +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    response.type('text/html; charset=utf-8').send(text);
  }
}

async function read(file: URL): Promise<string> {
  return readFile(file, 'utf8').catch(() => {
    throw new DomainError('NOT_FOUND', 'The browser build is not here: run `npm run build`.');
  });
}
