import { productVersion } from '#platform';
import { readFileSync } from 'node:fs';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { INestApplication } from '@nestjs/common';
import swaggerUi from 'swagger-ui-express';

const written = new URL('../../../openapi/registry.json', import.meta.url);

/** The OpenAPI 3.1 document of the routes that an app has. */
export function openApiDocument(app: INestApplication): OpenAPIObject {
  const info = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Slipway')
    .setDescription(
      'Registry and artifact API. Predictions are answered by the Open Inference Protocol V2 at `servingUrl`.',
    )
    .setVersion(productVersion)
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0')
    .build();
  const document = SwaggerModule.createDocument(app, info, {
    operationIdFactory: (_, method) => method,
  });
  return published(document);
}

/** What a failed request is answered with: RFC 9457, see `libs/platform/problem.ts`. */
const problem = {
  type: 'object',
  description: 'RFC 9457 problem document',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What was wrong, where, and what to do next' },
    code: { type: 'string', example: 'INVALID_ARGUMENT', description: 'A stable word' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['pointer', 'message'],
        properties: {
          pointer: { type: 'string', description: 'JSON pointer into the body' },
          message: { type: 'string' },
        },
      },
    },
  },
};

/** Schemas by the names that users know (`Model`, not `ModelDto`), and the problem document for every operation. */
function published(document: OpenAPIObject): OpenAPIObject {
  const text = JSON.stringify(document).replaceAll(
    /"(#\/components\/schemas\/)?(\w+)Dto"/g,
    '"$1$2"',
  );
  const named = JSON.parse(text) as OpenAPIObject;
  named.components = {
    ...named.components,
    schemas: { ...named.components?.schemas, Problem: problem },
  };
  const failed = {
    description: 'Not done; `code` and `detail` say why',
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
  for (const path of Object.values(named.paths)) {
    for (const method of ['get', 'put', 'post', 'patch', 'delete', 'head'] as const) {
      const operation = path[method];
      if (operation) operation.responses = { ...operation.responses, default: failed };
    }
  }
  return named;
}

/** The generated document, browsable at `/docs` and as JSON at `/docs/openapi.json`. */
export function mountDocs(app: NestExpressApplication): void {
  const document = JSON.parse(readFileSync(written, 'utf8')) as OpenAPIObject;
  app.use('/docs/openapi.json', (_: unknown, response: import('express').Response) =>
    response.json(document),
  );
  app.use('/docs', swaggerUi.serve, swaggerUi.setup(document, { customSiteTitle: 'Slipway API' }));
}
