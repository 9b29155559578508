import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, sep } from 'node:path';
import { describe, expect, it } from '@jest/globals';

/** Which libraries each library may import; an arrow points downwards only. */
const allowed: Record<string, string[]> = {
  platform: [],
  program: [],
  sdk: [],
  database: ['platform'],
  http: ['platform'],
  search: ['platform'],
  protocols: ['program'],
  formats: ['program', 'protocols', 'platform'],
  artifacts: ['database', 'platform'],
  backup: ['artifacts', 'database', 'platform'],
  doctor: ['artifacts', 'database', 'platform'],
  registry: ['artifacts', 'search', 'formats', 'program', 'database', 'platform'],
  serving: ['formats', 'program', 'registry', 'artifacts', 'protocols', 'database', 'platform'],
};

/** Libraries that run in a browser too, with the packages that they may import because these do so as well. */
const portable: Record<string, string[]> = {
  program: ['onnxruntime-common', 're2js', 'fast-png'],
  sdk: [],
};

/** What only Node runs of a portable library. It is loaded with `import()` where a path is given, never by a browser. */
const nodeOnly = join('libs', 'sdk', 'node') + sep;

const libraries = readdirSync('libs');
const apps = existsSync('apps') ? readdirSync('apps').filter((app) => !app.includes('.')) : [];

function sourcesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.spec.ts'))
    .map((file) => join(folder, file));
}

/** What a file imports, type imports included: a type is a dependency too. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const pattern = /(?:^|[;}\s])(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g;
  return [...text.matchAll(pattern)].flatMap(([, specifier]) => specifier ?? []);
}

/** The folder under libs/ or apps/ that a relative import leads to, where it leaves its own. */
function leavesTo(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const own = file.split(sep).slice(0, 2).join(sep);
  const target = normalize(join(dirname(file), specifier));
  return target.startsWith(own + sep) ? undefined : target;
}

it('a serving process starts without a framework', () => {
  for (const file of sourcesOf(join('libs', 'platform'))) {
    expect([file, importsOf(file).filter((i) => i.startsWith('@nestjs'))]).toEqual([file, []]);
  }
});

describe.each(libraries)('libs/%s', (library) => {
  const files = sourcesOf(join('libs', library));

  it('has a place in the table of dependencies', () => {
    expect(Object.keys(allowed)).toContain(library);
  });

  it('imports only the libraries below it, through their index', () => {
    const found = files.flatMap((file) =>
      importsOf(file)
        .filter((i) => i.startsWith('#'))
        .map((i) => i.slice(1)),
    );
    expect((allowed[library] ?? []).toSorted()).toEqual(
      expect.arrayContaining([...new Set(found)].toSorted()),
    );
  });

  it('leaves its folder for no file but migrations', () => {
    const left = files.flatMap((file) =>
      importsOf(file).flatMap((specifier) => {
        const target = leavesTo(file, specifier);
        return target && !(library === 'database' && target.startsWith('migrations'))
          ? `${file} imports ${specifier}`
          : [];
      }),
    );
    expect(left).toEqual([]);
  });
});

it.each(Object.entries(portable))('libs/%s runs outside Node', (library, packages) => {
  const files = sourcesOf(join('libs', library)).filter((file) => !file.startsWith(nodeOnly));
  const bound = files.flatMap((file) => {
    const outside = importsOf(file).filter((i) => !i.startsWith('.') && !packages.includes(i));
    const globals = readFileSync(file, 'utf8').match(
      /(?<![.\w'"`/ *]\s?)\b(Buffer|process|__dirname)\./g,
    );
    return [...outside, ...(globals ?? [])].map((what) => `${file}: ${what}`);
  });
  expect(bound).toEqual([]);
});

it('what only Node runs is never imported statically by what a browser loads', () => {
  const files = sourcesOf(join('libs', 'sdk')).filter((file) => !file.startsWith(nodeOnly));
  const pattern = /\bfrom\s*['"]\.\/node\//;
  expect(files.filter((file) => pattern.test(readFileSync(file, 'utf8')))).toEqual([]);
});

it('no app imports another one', () => {
  const left = apps.flatMap((app) =>
    sourcesOf(join('apps', app)).flatMap((file) =>
      importsOf(file).filter((specifier) => /^(apps|libs)/.test(leavesTo(file, specifier) ?? '')),
    ),
  );
  expect(left).toEqual([]);
});

it('a Program is computed with functions that every JavaScript engine rounds alike', () => {
  // `Math.log2` of a size is no part of an answer.
  const own =
    /(?<!Math\.ceil\()Math\.(exp|expm1|log|log1p|log2|log10|pow|a?sinh?|a?cosh?|a?tanh?|atan2|cbrt)\b/g;
  const found = sourcesOf(join('libs', 'program')).flatMap((file) =>
    readFileSync(file, 'utf8')
      .replace(/\/\*[^]*?\*\/|\/\/.*$/gm, '')
      .split('\n')
      .flatMap((line) =>
        [...line.matchAll(own)].map(([call]) => `${file}: ${call} (see libs/program/math)`),
      ),
  );
  expect(found).toEqual([]);
});
