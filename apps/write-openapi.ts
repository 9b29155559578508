import { readFile, writeFile } from 'node:fs/promises';
import { createHttpApp } from '#http';
import { readConfig } from '#platform';
import { RegistryAppModule } from './registry/app.module.js';
import { openApiDocument } from './registry/docs.js';

// Writes openapi/registry.json from the code; with --check it only says whether the file is up to date.
const file = new URL('../../openapi/registry.json', import.meta.url);
const config = readConfig({ LOG_LEVEL: 'silent' });
// Preview mode finds the routes without making any service or connection.
const { nest } = await createHttpApp(RegistryAppModule, config, { preview: true });
const text = `${JSON.stringify(openApiDocument(nest), null, 2)}\n`;
if (process.argv.includes('--check')) {
  if ((await readFile(file, 'utf8').catch(() => '')) !== text) {
    process.stderr.write('openapi/registry.json is stale: run `npm run generate` and commit it.\n');
    process.exitCode = 1;
  }
} else {
  await writeFile(file, text);
}
