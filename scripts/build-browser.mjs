// Puts what `npm run build` made of libs/program into one ES module for browsers: dist/sdk/program.js. TypeScript turns each
// module into a function; they run in the order of their imports, once, as modules do.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'dist', 'libs', 'program');
const entry = 'index.js';

/** Where the file is written. */
export const target = join(root, 'dist', 'sdk', 'program.js');

/** Writes the file; fails where a module of libs/program imports what a browser does not have. */
export async function buildBrowser() {
  const modules = new Map();
  addModule(entry, modules);
  const index = await import(pathToFileURL(join(source, entry)).href);
  const names = Object.keys(index).toSorted();
  const text = [
    '// Slipway: loads and runs compiled Programs. Made by scripts/build-browser.mjs from libs/program. Apache-2.0.',
    'const modules = {',
    ...[...modules].map(([name, code]) => `${JSON.stringify(name)}(exports, require) {\n${code}},`),
    '};',
    'const loaded = {};',
    'function load(name) {',
    '  if (!loaded[name]) modules[name]((loaded[name] = {}), load);',
    '  return loaded[name];',
    '}',
    `const index = load(${JSON.stringify(entry)});`,
    ...names.map((name) => `export const ${name} = index.${name};`),
    '',
  ].join('\n');
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
}

/** Adds a module and, before it, what it imports. */
function addModule(name, modules) {
  if (modules.has(name)) return;
  modules.set(name, '');
  const { outputText } = ts.transpileModule(readFileSync(join(source, name), 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2023 },
  });
  const code = outputText
    .replace(/^"use strict";\n/, '')
    .replace(/^Object\.defineProperty\(exports, "__esModule".*\n/m, '')
    .replace(/^\/\/# sourceMappingURL=.*$/m, '')
    .replace(/\brequire\("([^"]+)"\)/g, (_, specifier) => {
      if (!specifier.startsWith('.')) throw new Error(`A browser has no module ${specifier}`);
      const path = posix.join(posix.dirname(name), specifier);
      addModule(path, modules);
      return `require(${JSON.stringify(path)})`;
    });
  modules.set(name, code);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildBrowser();
