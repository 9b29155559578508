import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  bindInputs,
  bindOutputs,
  chooseSignature,
  compareTensors,
  fromBfloat16,
  fromFloat16,
  loadProgram,
  ProgramError,
  type Difference,
  type Runtime,
  type Signature,
  type Tensor,
  zeroInputs,
} from '#program';
import { CodecError, decodeTensors, signatureName } from '#protocols';
import { endWithParent, openChannel, requestOf } from './contained-child.js';
import type {
  CompileProgress,
  CompileRequest,
  CompileResult,
  GoldenDifference,
} from './compiler.js';
import {
  DamagedModel,
  UnsupportedModel,
  type ModelImporter,
  type UploadedFile,
  type Verdict,
} from './importer.js';
import { importers } from './importers.js';
import { nodeOnnxBackend } from './node-onnx.js';
import { openFile } from './open-file.js';

const MOST_REASON = 10_000;

endWithParent();
const channel = openChannel();
void answer();

function tell(progress: CompileProgress): void {
  channel.write(`${JSON.stringify(progress)}\n`);
}

async function answer(): Promise<void> {
  const result = await compileFiles(await requestOf<CompileRequest>(channel));
  const { reason, signatures, ...rest } = result;
  const told: CompileResult = {
    ...rest,
    ...(reason !== undefined && { reason: readable(reason) }),
    ...(signatures && isReadable(signatures) && { signatures }),
  };
  tell({ result: told });
}

async function compileFiles(request: CompileRequest): Promise<CompileResult> {
  let importer: ModelImporter | undefined;
  try {
    const files = await Promise.all(request.files.map(openFile));
    importer = await chooseImporter(files, request.format);
    const format = request.format ?? null;
    if (!importer)
      return { state: 'unsupported', reason: nothingReads(format), format, importer: null };
    tell({ phase: 'compiling', format: importer.format, importer: nameOf(importer) });
    const given = request.signature ? { signature: request.signature as Signature } : {};
    const verdict = await importer.compile(files, given);
    return { ...(await tryOut(verdict, files, request)), ...identity(importer) };
  } catch (error) {
    const state = error instanceof UnsupportedModel ? 'unsupported' : 'failed';
    const identified = importer
      ? identity(importer)
      : { format: request.format ?? null, importer: null };
    return { state, reason: reasonOf(error), ...identified };
  }
}

/** A reason may quote what a hostile file has for a name. */
function readable(reason: string): string {
  return reason.slice(0, MOST_REASON).replaceAll(/[\0\p{Surrogate}]/gu, '\ufffd');
}

/** Whether nothing in it is what a database does not take; JSON writes such characters as escapes. */
function isReadable(value: object): boolean {
  return !/\\u(0000|d[89a-f])/i.test(JSON.stringify(value));
}

function nameOf({ format, version }: ModelImporter): string {
  return `${format}@${version}`;
}

function identity(importer: ModelImporter): { format: string; importer: string } {
  return { format: importer.format, importer: nameOf(importer) };
}

function nothingReads(format: string | null): string {
  const known = importers.map((importer) => importer.format).join(', ');
  return format
    ? `The format ${JSON.stringify(format)} is not supported; ${known} are.`
    : `None of the files is of a supported format (${known}).`;
}

function reasonOf(error: unknown): string {
  if (error instanceof DamagedModel || error instanceof UnsupportedModel) return error.message;
  if (error instanceof ProgramError) return `The compiled program does not load: ${error.message}`;
  if (
    error instanceof RangeError &&
    /Array buffer|allocation|Invalid (typed )?array length/i.test(error.message)
  )
    return 'Reading the model needs more memory than compiling may take.';
  const text = error instanceof Error ? error.message : String(error);
  return `The model could not be read: ${text}`;
}

/** The importer with the named format, or the first that recognises the files: the table has the most specific first. */
async function chooseImporter(
  files: UploadedFile[],
  format: string | null | undefined,
): Promise<ModelImporter | undefined> {
  if (format) return importers.find((importer) => importer.format === format);
  for (const importer of importers) if (await importer.recognises(files)) return importer;
  return undefined;
}

/** Loads the program, runs it once and compares golden rows; writes it where all is well. */
async function tryOut(
  verdict: Verdict,
  files: UploadedFile[],
  { outputFolder = '.', inputExample }: CompileRequest,
): Promise<Pick<CompileResult, 'state' | 'reason' | 'signature' | 'signatures' | 'difference'>> {
  if (verdict.state !== 'servable') return verdict;
  const { program, weights } = verdict;
  tell({ phase: 'loading' });
  const contents = new Map<string, Uint8Array>();
  for (const [path, uploaded] of verdict.files ?? []) {
    const file = files.find((candidate) => candidate.path === uploaded);
    if (!file) throw new Error(`The program names the file ${uploaded}, which is not there.`);
    contents.set(path, await file.read());
  }
  // What serving will parse is what is tried out here.
  const stored = JSON.stringify(program);
  const onnx = await nodeOnnxBackend();
  const runtime = await loadProgram(JSON.parse(stored), weights, { files: contents, onnx });
  contents.clear();
  tell({ phase: 'running' });
  const trial = inputExample ? await runExample(runtime, inputExample) : await runZeros(runtime);
  if (trial.reason !== undefined) return { state: 'failed', ...trial };
  await writeFile(join(outputFolder, 'weights.bin'), weights);
  await writeFile(join(outputFolder, 'program.json'), stored);
  const { signature, signatures } = program;
  return { state: 'servable', signature, ...(signatures && { signatures }), ...trial };
}

/** What the first run told: with a reason it was none that a servable version has. */
type Trial = Pick<CompileResult, 'reason' | 'difference'>;

/** Runs each signature; what it says is that of the first that says something. */
async function runZeros(runtime: Runtime): Promise<Trial> {
  const names = Object.keys(runtime.signatures?.named ?? {});
  for (const name of names.length > 0 ? names : [undefined]) {
    const trial = await runZerosOf(runtime, name);
    if (trial.reason !== undefined) return trial;
  }
  return {};
}

/** Zeros may be no sensible input, so an error does not count, unless it is for want of memory. */
async function runZerosOf(runtime: Runtime, signature: string | undefined): Promise<Trial> {
  try {
    const zeros = zeroInputs(runtime, signature);
    const bound = bindInputs(runtime, zeros, { maxRows: Infinity, signature });
    await runtime.run(bound, bindOutputs(runtime, undefined, signature));
    return {};
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    if (!/allocate memory|bad_alloc/i.test(error.message)) return {};
    return { reason: `The first run needs too much memory. ${error.message}` };
  }
}

async function runExample(
  runtime: Runtime,
  { inputs, parameters, expected, tolerance }: NonNullable<CompileRequest['inputExample']>,
): Promise<Trial> {
  let got: Tensor[];
  let wanted: Tensor[] = [];
  try {
    const given = decodeTensors(inputs, '/inputExample/inputs');
    wanted = decodeTensors(expected ?? [], '/inputExample/expected');
    const signature = signatureName(parameters);
    const bound = bindInputs(runtime, given, { maxRows: Infinity, signature });
    got = await runtime.run(bound, outputsFor(runtime, wanted, signature));
  } catch (error) {
    if (!(error instanceof ProgramError) && !(error instanceof CodecError)) throw error;
    return { reason: `The input example cannot be run: ${error.message}` };
  }
  const { rtol = 1e-5, atol = 1e-8 } = tolerance ?? {};
  const { equal, greatest } = compareTensors(got, wanted, { rtol, atol });
  if (!greatest) return {};
  const difference = detailed(greatest, got, wanted);
  if (equal) return { difference };
  return {
    reason: `The golden rows are not reproduced: output "${greatest.output}" ${greatest.message}.`,
    difference,
  };
}

function detailed(difference: Difference, got: Tensor[], wanted: Tensor[]): GoldenDifference {
  const { at, output } = difference;
  const [row] = at ?? [];
  if (!at) return difference;
  const element = (tensors: Tensor[]) =>
    elementAt(
      tensors.find(({ name }) => name === output),
      at,
    );
  return {
    ...difference,
    ...(row === undefined ? {} : { row }),
    expected: element(wanted),
    got: element(got),
  };
}

function elementAt(tensor: Tensor | undefined, at: number[]): number | string | null {
  if (!tensor) return null;
  const index = at.reduce((flat, position, axis) => flat * (tensor.shape[axis] ?? 1) + position, 0);
  const element = tensor.data[index] ?? null;
  if (tensor.dtype === 'FP16') return fromFloat16(Number(element));
  if (tensor.dtype === 'BF16') return fromBfloat16(Number(element));
  if (typeof element === 'number') return Number.isFinite(element) ? element : String(element);
  if (typeof element === 'bigint') {
    const number = Number(element);
    return Number.isSafeInteger(number) ? number : String(element);
  }
  return element === null ? null : String(element).slice(0, 200);
}

/** The outputs that are expected, items of sequences by their sequence; all of the default ones where none is named. */
function outputsFor(
  runtime: Runtime,
  wanted: Tensor[],
  signatureAsked: string | undefined,
): string[] {
  const { signature } = chooseSignature(runtime, signatureAsked);
  const known = new Set(signature.outputs.map(({ name }) => name));
  const names = wanted.map(({ name }) => (known.has(name) ? name : name.replace(/\.\d+$/, '')));
  return bindOutputs(runtime, [...new Set(names)], signatureAsked);
}
