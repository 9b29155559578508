// Compiles the WebAssembly kernels of libs/program into generated TypeScript, so that neither the build nor a browser needs
// the compiler. `--check` changes nothing and fails where the generated file is not what the source gives.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));
const SOURCE = 'libs/program/assembly/forest-kernel.ts';
const TARGET = join(root, 'libs/program/generated/forest-kernel.ts');
const OPTIONS = [
  '--runtime',
  'stub',
  '--importMemory',
  '--noExportMemory',
  '-O3',
  '--noAssert',
  '--enable',
  'bulk-memory',
];

const outputs = new Map();
const { error, stderr } = await asc.main([SOURCE, '--outFile', 'kernel.wasm', ...OPTIONS], {
  readFile: (name) => {
    try {
      return readFileSync(join(root, name), 'utf8');
    } catch {
      return null;
    }
  },
  writeFile: (name, contents) => void outputs.set(name, contents),
  listFiles: () => [],
});
if (error) {
  console.error(stderr.toString());
  process.exit(1);
}
const wasm = Buffer.from(outputs.get('kernel.wasm'));
const text = `// Made by scripts/build-kernels.mjs from ${SOURCE}. Do not edit.
/** The forest kernel: ${wasm.length} bytes of WebAssembly, base64. */
export const FOREST_KERNEL =
  '${wasm.toString('base64')}';
`;
if (process.argv.includes('--check')) {
  if (readFileSync(TARGET, 'utf8') !== text) {
    console.error(`${TARGET} is stale. Run: node scripts/build-kernels.mjs`);
    process.exit(1);
  }
} else {
  writeFileSync(TARGET, text);
  console.log(`${TARGET}: ${wasm.length} bytes of WebAssembly`);
}
