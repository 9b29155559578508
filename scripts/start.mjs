// Builds where a source is newer than the last build, then runs the server in this process, which so gets the signals.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, stamp } from './build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What the server is made from; folders count too, because a removed file changes only its folder. */
function sources() {
  const files = ['package-lock.json', 'tsconfig.json'].map((name) => join(root, name));
  for (const folder of ['apps', 'libs', 'migrations'].map((name) => join(root, name))) {
    files.push(
      folder,
      ...readdirSync(folder, { recursive: true }).map((name) => join(folder, name)),
    );
  }
  return files.filter((file) => !file.endsWith('.spec.ts'));
}

function isStale() {
  if (!existsSync(stamp)) return true;
  const built = statSync(stamp).mtimeMs;
  return sources().some((file) => existsSync(file) && statSync(file).mtimeMs > built);
}

// An image for production holds what was built, without its sources.
if (existsSync(join(root, 'apps')) && isStale()) {
  process.stderr.write('Building (once, and after changes) …\n');
  const status = build();
  if (status !== 0) process.exit(status);
}
process.setSourceMapsEnabled(true);
await import('../dist/apps/server/main.js');
