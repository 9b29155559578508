import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

// Runs every benchmark, one after the other, each in a process of its own. Each prints ratios measured side by side.
const benchmarks = ['forest', 'codec', 'serving', 'loading'];

let failed = 0;
for (const name of benchmarks) {
  process.stdout.write(`\n== ${name}\n`);
  const script = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const { status } = spawnSync(process.execPath, [script], { stdio: 'inherit' });
  if (status !== 0) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;
