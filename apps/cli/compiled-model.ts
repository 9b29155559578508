import { lstat, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, relative, resolve, sep } from 'node:path';
import type { Program } from '#program';
import { OperationError, UsageError } from './failure.js';

const REFUSED = 1;

/** A model on this machine as a Program: its document, its weights, and its other files by their paths. */
export interface CompiledModel {
  name: string;
  program: Program;
  weights: Uint8Array;
  files: Map<string, Uint8Array>;
  /** What it was compiled from, path → file; absent where a Program was given. */
  uploaded?: ReadonlyMap<string, string>;
}

/**
 * Reads a folder that holds a Program, or compiles a model file or a folder of them as the registry does: in a child process
 * with its limits, executing nothing.
 *
 * @throws UsageError where there is nothing, OperationError with the importer's reason
 */
export async function compiledModel(paths: string[]): Promise<CompiledModel> {
  const [first = ''] = paths;
  const name = basename(resolve(first));
  if (paths.length === 1 && (await isFile(join(first, 'program.json')))) {
    return { name, ...(await readProgram(first, (path) => join(first, path))) };
  }
  const { compile } = await import('#formats');
  const files = (await Promise.all(paths.map(filesOf))).flat();
  const outputFolder = await mkdtemp(join(tmpdir(), 'slipway-local-'));
  try {
    const { state, reason, programFolder } = await compile({ files, outputFolder });
    if (!programFolder) {
      throw new OperationError(
        `${name} is ${state}: ${reason ?? 'no reason'}`,
        REFUSED,
        'FAILED_PRECONDITION',
      );
    }
    const uploaded = new Map(files.map(({ path, file }) => [path, file]));
    return { name, uploaded, ...(await readProgram(programFolder, (path) => uploaded.get(path))) };
  } finally {
    await rm(outputFolder, { recursive: true });
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isFile() === true;
}

/** The files of an upload: the file itself, or those of a folder by their paths in it. */
async function filesOf(path: string): Promise<{ path: string; file: string }[]> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isFile()) return [{ path: basename(path), file: resolve(path) }];
  if (!found?.isDirectory()) throw new UsageError(`${path}: no such file or folder.`);
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  if (files.length === 0) throw new UsageError(`${path} has no files.`);
  return files.map((file) => ({
    path: relative(path, file).split(sep).join('/'),
    file: resolve(file),
  }));
}

async function readProgram(
  folder: string,
  fileOf: (path: string) => string | undefined,
): Promise<Omit<CompiledModel, 'name'>> {
  const { parseProgram, ProgramError } = await import('#program');
  try {
    const document: unknown = JSON.parse(await readFile(join(folder, 'program.json'), 'utf8'));
    const program = parseProgram(document);
    const files = new Map<string, Uint8Array>();
    for (const { path } of program.files) {
      const file =
        path.split('/').includes('..') || path.startsWith('/') ? undefined : fileOf(path);
      if (file === undefined || !(await isFile(file))) throw missing(folder, path);
      files.set(path, await readFile(file));
    }
    return { program, weights: await readFile(join(folder, 'weights.bin')), files };
  } catch (error) {
    if (error instanceof OperationError) throw error;
    if (error instanceof SyntaxError || error instanceof ProgramError) {
      throw new OperationError(
        `${folder} holds no Program: ${error.message}`,
        REFUSED,
        'FAILED_PRECONDITION',
      );
    }
    throw missing(folder, 'weights.bin');
  }
}

function missing(folder: string, path: string): OperationError {
  return new OperationError(
    `${folder} lacks the file ${path} of its Program.`,
    REFUSED,
    'FAILED_PRECONDITION',
  );
}
