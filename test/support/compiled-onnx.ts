import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile, type CompileLimits, type CompileResult } from '#formats';
import type { Program } from '#program';
import { uploadOf, type OnnxFixture } from './onnx-fixtures.js';

/** A compiled fixture, as serving gets it. */
export interface CompiledOnnx {
  result: CompileResult;
  program: Program;
  source: { program: unknown; weights: string; files: Record<string, string> };
}

/** Compiles the files of a fixture in the real compile process. */
export async function compileFixture(
  fixture: OnnxFixture,
  limits?: CompileLimits,
): Promise<CompileResult> {
  const files = uploadOf(fixture).map(({ path, file }) => ({ path, file }));
  const outputFolder = await mkdtemp(join(tmpdir(), 'slipway-test-'));
  return compile({ files, outputFolder, ...(limits ? { limits } : {}) });
}

/** The same for one that must be servable. */
export async function compiledOnnx(fixture: OnnxFixture): Promise<CompiledOnnx> {
  const result = await compileFixture(fixture);
  const { programFolder } = result;
  if (!programFolder) throw new Error(`${fixture.name}: ${result.reason ?? result.state}`);
  const program = JSON.parse(
    await readFile(join(programFolder, 'program.json'), 'utf8'),
  ) as Program;
  const uploaded = new Map(uploadOf(fixture).map(({ path, file }) => [path, file]));
  const files = Object.fromEntries(
    program.files.map(({ path }) => [path, uploaded.get(path) ?? 'missing']),
  );
  return {
    result,
    program,
    source: { program, weights: join(programFolder, 'weights.bin'), files },
  };
}
