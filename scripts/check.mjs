// What CI and a committer run: types, lint, format, architecture, schema drift, stale generated files. Under a minute.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const node = process.execPath;
const jest = join('node_modules', 'jest', 'bin', 'jest.js');
const failed = [];

/** Runs a command; prints its output only where it failed. */
function check(name, command, args, env = {}) {
  const begun = performance.now();
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env } });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  return new Promise((resolve) => {
    child.on('error', (error) => (output += error.message));
    child.on('close', (code) => {
      const seconds = ((performance.now() - begun) / 1000).toFixed(1);
      process.stdout.write(`${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)\n`);
      if (code !== 0) {
        failed.push(name);
        process.stdout.write(`${output.trimEnd()}\n\n`);
      }
      resolve(code === 0);
    });
  });
}

/** A generator that can say whether what it wrote before is up to date. */
function generated(name, script) {
  return existsSync(join(root, script)) ? check(name, node, [script, '--check']) : undefined;
}

async function builtChecks() {
  if (!(await check('types', node, ['scripts/build.mjs']))) return;
  await Promise.all([
    check(
      'architecture and migrations',
      node,
      [jest, 'dist/test/architecture.spec.js', 'dist/test/migrations.spec.js'],
      {
        NODE_OPTIONS: '--experimental-vm-modules --no-warnings',
      },
    ),
    generated('openapi', 'dist/apps/write-openapi.js'),
    generated('kernels', 'scripts/build-kernels.mjs'),
    generated('table of kernels', 'scripts/write-kernels.mjs'),
  ]);
}

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
await Promise.all([
  builtChecks(),
  check('lint', npm, ['run', '--silent', 'lint']).then(() =>
    check('format', npm, ['run', '--silent', 'format:check']),
  ),
]);
if (failed.length > 0) {
  process.stdout.write(`Failed: ${failed.join(', ')}\n`);
  process.exit(1);
}
