// Puts what `npm run build` made of libs/program, and the packages that it imports, into one ES module for browsers:
// dist/sdk/program.js. TypeScript turns each module into a function; they run in the order of their imports, once, as modules do.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'dist', 'libs', 'program');
const packages = join(root, 'node_modules');
const entry = join(source, 'index.js');
/** What a package has for browsers; its modules for Node may import Node's. */
const CONDITIONS = ['browser', 'import', 'module', 'default'];

/** Where the file is written. */
export const target = join(root, 'dist', 'sdk', 'program.js');

/** Writes the file; fails where a module of libs/program imports what a browser does not have. */
export async function buildBrowser() {
  const modules = new Map();
  addModule(entry, modules);
  const index = await import(pathToFileURL(entry).href);
  const names = Object.keys(index).toSorted();
  const text = [
    '// Slipway: loads and runs compiled Programs. Made by scripts/build-browser.mjs from libs/program. Apache-2.0.',
    ...licencesOf(modules.keys()),
    'const modules = {',
    ...[...modules].map(
      ([file, code]) => `${JSON.stringify(nameOf(file))}(exports, require) {\n${code}},`,
    ),
    '};',
    'const loaded = {};',
    'function load(name) {',
    '  if (!loaded[name]) modules[name]((loaded[name] = {}), load);',
    '  return loaded[name];',
    '}',
    `const index = load(${JSON.stringify(nameOf(entry))});`,
    ...names.map((name) => `export const ${name} = index.${name};`),
    '',
  ].join('\n');
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
}

/** Adds a module and, before it, what it imports. */
function addModule(file, modules) {
  if (modules.has(file)) return;
  modules.set(file, '');
  const { outputText } = ts.transpileModule(readFileSync(file, 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2023 },
  });
  const code = outputText
    .replace(/^"use strict";\n/, '')
    // Packages that are CommonJS ask each other for it.
    .replace(/^Object\.defineProperty\(exports, "__esModule".*\n/m, (line) =>
      nameOf(file) === relative(source, file) ? '' : line,
    )
    .replace(/^\/\/# sourceMappingURL=.*$/m, '')
    .replace(/\brequire\("([^"]+)"\)/g, (_, specifier) => {
      const imported = fileOf(specifier, file);
      addModule(imported, modules);
      return `require(${JSON.stringify(nameOf(imported))})`;
    });
  modules.set(file, code);
}

/** The file that a module imports. */
function fileOf(specifier, importer) {
  if (specifier.startsWith('.')) return withEnding(resolve(dirname(importer), specifier));
  const [, name, rest] = /^(@[^/]+\/[^/]+|[^@/:][^/:]*)(\/.+)?$/.exec(specifier) ?? [];
  const folder = name && packageFolder(name, dirname(importer));
  if (!folder) throw new Error(`A browser has no module ${specifier}, which ${importer} imports`);
  const { exports = {}, module, main } = manifestOf(folder);
  const root = typeof exports === 'string' || !('.' in exports) ? { '.': exports } : exports;
  const path =
    chosen(root[`.${rest ?? ''}`]) ?? (rest ? `.${rest}` : (module ?? main ?? 'index.js'));
  return withEnding(join(folder, path));
}

/** Where a package is installed: beside the one that imports it, or above. */
function packageFolder(name, from) {
  for (let folder = from; folder !== dirname(folder); folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
  }
  return undefined;
}

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

/** The path that a package's `exports` give a browser. */
function chosen(target) {
  if (typeof target !== 'object' || target === null) return target ?? undefined;
  const condition = Object.keys(target).find((name) => CONDITIONS.includes(name));
  return condition && chosen(target[condition]);
}

function withEnding(path) {
  return (
    [path, `${path}.js`, join(path, 'index.js')].find(
      (file) => /\.[cm]?js$/.test(file) && existsSync(file),
    ) ?? path
  );
}

/** How the file calls a module: where it is below libs/program, or the packages. */
function nameOf(file) {
  const inside = relative(source, file);
  return inside.startsWith('..') ? relative(packages, file) : inside;
}

/** The licences of the packages as comments: they ask to go along. */
function licencesOf(files) {
  const folders = new Set();
  for (const file of files) {
    const [, name] = /^(@[^/]+\/[^/]+|[^./][^/]*)\//.exec(relative(packages, file)) ?? [];
    if (name) folders.add(name);
  }
  return [...folders].flatMap((name) => {
    const folder = join(packages, name);
    const { version, license } = manifestOf(folder);
    const file = ['LICENSE', 'LICENSE.md', 'LICENSE.txt'].find((each) =>
      existsSync(join(folder, each)),
    );
    const text = file
      ? readFileSync(join(folder, file), 'utf8').trim().replaceAll('*/', '* /')
      : '';
    return [`/*! With ${name} ${version} (${license}).\n${text}\n*/`];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildBrowser();
