// Writes docs/kernels.md, the table of all kernels, from their sources: names, TSDoc, attributes and weights. With --check it
// only says whether the file is up to date. Wants libs/program compiled.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'libs', 'program', 'kernels');
const target = join(root, 'docs', 'kernels.md');
const compiled = pathToFileURL(join(root, 'dist', 'libs', 'program', 'kernels', 'kernels.js'));
const { kernels } = await import(compiled.href);

const READ_AS = {
  number: 'number',
  integer: 'integer',
  flag: 'boolean',
  text: 'string',
  strings: 'strings',
  numbers: 'numbers',
};

const families = readdirSync(folder)
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
  .flatMap(familiesOf);
const described = new Set(families.flatMap(({ rows }) => rows.map(({ name }) => name)));
const missing = [...kernels.keys()].filter((name) => !described.has(name));
if (missing.length > 0) fail(`These kernels are not found in the sources: ${missing.join(', ')}`);

const text = [
  '# Kernels',
  '',
  'Made by `npm run generate` from `libs/program/kernels`. A name never changes its meaning; see',
  '[the Program](program.md). Values are FP64 where nothing else is said; `[rows]` is one column of a table.',
  '',
  ...families.flatMap(({ title, doc, file, rows }) => [
    `## ${title}`,
    '',
    `${doc} (\`${file}\`)`,
    '',
    '| kernel | what it does | attributes | weights |',
    '| --- | --- | --- | --- |',
    ...rows.map((row) => `| \`${row.name}\` | ${row.doc} | ${row.attributes} | ${row.weights} |`),
    '',
  ]),
].join('\n');
if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  fail('docs/kernels.md is stale: run `npm run generate` and commit it.');
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

/** The records of kernels that a file exports. */
function familiesOf(file) {
  const source = ts.createSourceFile(
    file,
    readFileSync(join(folder, file), 'utf8'),
    ts.ScriptTarget.ES2023,
    true,
  );
  const functions = new Map(
    source.statements.filter(ts.isFunctionDeclaration).map((f) => [f.name?.text, f]),
  );
  const constants = new Map(
    source.statements
      .filter(ts.isVariableStatement)
      .flatMap(({ declarationList }) => declarationList.declarations)
      .map((declaration) => [declaration.name.getText(), declaration.initializer]),
  );
  return source.statements.filter(ts.isVariableStatement).flatMap((statement) => {
    const [declaration] = statement.declarationList.declarations;
    const record = declaration?.initializer;
    if (declaration?.type?.getText() !== 'Record<string, Kernel>') return [];
    if (!record || !ts.isObjectLiteralExpression(record)) return [];
    const title = declaration.name.getText();
    const doc = docOf(statement);
    const rows = record.properties.flatMap((property) => rowsOf(property, functions, constants));
    return rows.length > 0 ? [{ title, doc, file, rows }] : [];
  });
}

function rowsOf(property, functions, constants) {
  if (ts.isSpreadAssignment(property)) {
    // A table of functions by name, spread into the record.
    const names = [...constants].flatMap(([name, value]) =>
      value &&
      ts.isObjectLiteralExpression(value) &&
      new RegExp(`\\b${name}\\b`).test(property.getText())
        ? value.properties.filter((p) => p.name).map(nameOf)
        : [],
    );
    const doc = docOf(property) || 'The function of this name, of each number.';
    return names
      .filter((name) => kernels.has(name))
      .map((name) => ({ name, doc, attributes: '', weights: '' }));
  }
  const name = nameOf(property);
  if (!kernels.has(name)) fail(`${name} is in no table of kernels`);
  const { attributes, weights } = readBy(property, functions);
  return [{ name, doc: docOf(property), attributes, weights }];
}

function nameOf(property) {
  const { name } = property;
  return ts.isStringLiteral(name) ? name.text : name.getText();
}

/** The TSDoc before a node as one line of a table. */
function docOf(node) {
  const full = node.getSourceFile().getFullText();
  const [comment] = (ts.getLeadingCommentRanges(full, node.getFullStart()) ?? [])
    .map(({ pos, end }) => full.slice(pos, end))
    .filter((text) => text.startsWith('/**'))
    .slice(-1);
  return (comment ?? '')
    .replace(/^\/\*\*|\*\/$/g, '')
    .replace(/^\s*\* ?/gm, '')
    .replace(/\{@link (\w+)\}/g, '`$1`')
    .replace(/\s+/g, ' ')
    .replaceAll('|', '\\|')
    .trim();
}

/** What a kernel reads of its node, itself or by functions of its file. */
function readBy(node, functions) {
  const attributes = new Map();
  const weights = new Map();
  const seen = new Set();
  const visit = (part) => {
    if (ts.isCallExpression(part)) {
      const { expression, arguments: given } = part;
      const [first, second] = given;
      if (ts.isPropertyAccessExpression(expression) && first && ts.isStringLiteral(first)) {
        const how = expression.name.text;
        if (how in READ_AS) attributes.set(first.text, READ_AS[how]);
        if (how === 'oneOf') attributes.set(first.text, choices(second));
        if (how === 'floats') weights.set(first.text, 'FP64 or FP32');
        if (how === 'int32') weights.set(first.text, 'INT32');
        if (how === 'weight') weights.set(first.text, choices(second));
      }
      const name = expression.getText();
      if (functions.has(name) && !seen.has(name)) {
        seen.add(name);
        visit(functions.get(name));
      }
    }
    ts.forEachChild(part, visit);
  };
  visit(node);
  const list = (map) => [...map].map(([name, type]) => `\`${name}\` ${type}`).join(', ');
  return { attributes: list(attributes), weights: list(weights) };
}

/** The strings of a literal list. */
function choices(list) {
  if (!list || !ts.isArrayLiteralExpression(list)) return 'string';
  return list.elements.map((e) => (ts.isStringLiteral(e) ? e.text : e.getText())).join(' or ');
}
