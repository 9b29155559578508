// Builds everything into dist/. A file of dist/ whose source is gone is removed, so that no deleted test survives.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** As old as the last build without a fault; see start.mjs. */
export const stamp = join(root, 'dist', '.built');

/** Compiles the sources; returns the exit code of the compiler. */
export function build() {
  removeOrphans();
  rmSync(stamp, { force: true });
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const compiled = spawnSync(process.execPath, [compiler], { cwd: root, stdio: 'inherit' });
  if (compiled.status !== 0) return compiled.status ?? 1;
  // In a process of its own, because it loads what was just compiled.
  const browser = join(root, 'scripts', 'build-browser.mjs');
  const { status } = spawnSync(process.execPath, [browser], { cwd: root, stdio: 'inherit' });
  if (status === 0) writeFileSync(stamp, '');
  return status ?? 1;
}

function removeOrphans() {
  const dist = join(root, 'dist');
  if (!existsSync(dist)) return;
  for (const entry of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    // The browser build is of many sources and made anew each time.
    if (!/\.js(\.map)?$/.test(entry) || entry === join('sdk', 'program.js')) continue;
    const source = join(root, entry.replace(/\.js(\.map)?$/, ''));
    if (!existsSync(`${source}.ts`) && !existsSync(`${source}.tsx`)) rmSync(join(dist, entry));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(build());
