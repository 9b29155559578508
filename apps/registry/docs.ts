import { readFileSync } from 'node:fs';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { INestApplication } from '@nestjs/common';
import swaggerUi from 'swagger-ui-express';
import { productVersion } from './product-version.js';

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
  return SwaggerModule.createDocument(app, info, { operationIdFactory: (_, method) => method });
}

/** The generated document, browsable at `/docs` and as JSON at `/docs/openapi.json`. */
export function mountDocs(app: NestExpressApplication): void {
  const document = JSON.parse(readFileSync(written, 'utf8')) as OpenAPIObject;
  app.use('/docs/openapi.json', (_: unknown, response: import('express').Response) =>
    response.json(document),
  );
  app.use('/docs', swaggerUi.serve, swaggerUi.setup(document, { customSiteTitle: 'Slipway API' }));
}
