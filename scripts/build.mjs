// Builds everything into dist/. A file of dist/ whose source is gone is removed, so that no deleted test survives.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Compiles the sources; returns the exit code of the compiler. */
export function build() {
  removeOrphans();
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const compiled = spawnSync(process.execPath, [compiler], { cwd: root, stdio: 'inherit' });
  return compiled.status ?? 1;
}

function removeOrphans() {
  const dist = join(root, 'dist');
  if (!existsSync(dist)) return;
  for (const entry of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!/\.js(\.map)?$/.test(entry)) continue;
    const source = join(root, entry.replace(/\.js(\.map)?$/, ''));
    if (!existsSync(`${source}.ts`) && !existsSync(`${source}.tsx`)) rmSync(join(dist, entry));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(build());
