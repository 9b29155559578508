// Compiles the WebAssembly kernels of libs/program into generated TypeScript, so that neither the build nor a browser needs
// the compiler. `--check` changes nothing and fails where a generated file is not what its source gives.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));
const KERNELS = [
  { name: 'forest', what: 'The forest kernel', options: [] },
  { name: 'oblivious', what: 'The kernel for oblivious trees', options: ['--enable', 'simd'] },
  { name: 'dense', what: 'The kernel for dense arithmetic', options: ['--enable', 'simd'] },
  { name: 'category', what: 'The kernel that hashes categories', options: [] },
];
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

for (const { name, what, options } of KERNELS) {
  const source = `libs/program/assembly/${name}-kernel.ts`;
  const target = join(root, `libs/program/generated/${name}-kernel.ts`);
  const wasm = await compile(source, [...OPTIONS, ...options]);
  const text = `// Made by scripts/build-kernels.mjs from ${source}. Do not edit.
/** ${what}: ${wasm.length} bytes of WebAssembly, base64. */
export const ${name.toUpperCase()}_KERNEL =
  '${wasm.toString('base64')}';
`;
  if (!process.argv.includes('--check')) {
    writeFileSync(target, text);
    console.log(`${target}: ${wasm.length} bytes of WebAssembly`);
  } else if (readFileSync(target, 'utf8') !== text) {
    console.error(`${target} is stale. Run: node scripts/build-kernels.mjs`);
    process.exit(1);
  }
}

async function compile(source, options) {
  const outputs = new Map();
  const { error, stderr } = await asc.main([source, '--outFile', 'kernel.wasm', ...options], {
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
  return Buffer.from(outputs.get('kernel.wasm'));
}
