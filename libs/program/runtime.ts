import { concatRows, takeRows } from './batch.js';
import { kernels } from './kernels/kernels.js';
import { KernelArguments, tableShape, type Value } from './kernels/kernel.js';
import { dense, denseRows, sparseForms } from './kernels/sparse.js';
import { loadDense } from './dense.js';
import { elementCount } from './dtype.js';
import { loadForest, type LoadedForest, type WantedOutputs } from './forest.js';
import { loadOblivious } from './oblivious.js';
import type { OnnxSession } from './onnx-backend.js';
import { loadBranch, loadLoop } from './bodies.js';
import { parseProgram } from './parse-program.js';
import { ProgramError } from './program-error.js';
import {
  COLUMN_PREFIX,
  WEIGHTS_FILE,
  type Binding,
  type ForestNode,
  type KernelNode,
  type ObliviousNode,
  type OnnxNode,
  type Program,
} from './program.js';
import { inputName, outputName, type Signatures } from './signatures.js';
import type { Signature, Tensor, TensorSpec } from './tensor.js';
import {
  closeAll,
  fail,
  ports,
  Slots,
  valuesOf,
  type LoadContext,
  type LoadOptions,
  type Slot,
  type Step,
  type Values,
} from './steps.js';
import { WeightsReader } from './weights.js';

/** A loaded program, ready to answer. */
export interface Runtime {
  readonly signature: Signature;
  readonly signatures?: Signatures | undefined;
  readonly binding: Binding;
  /** Resident bytes, estimated. */
  readonly bytes: number;
  /** True where rows are independent, so that requests may be run as one batch along the first dimension. */
  readonly rowwise: boolean;
  /**
   * Takes inputs as `bindInputs` answers them and the names of outputs as `bindOutputs` does; answers these outputs in this
   * order (a sequence as several tensors), by the names that users see. Synchronous for kernels and forests, a promise where a
   * part is ONNX.
   */
  run(inputs: Tensor[], outputs: string[]): Tensor[] | Promise<Tensor[]>;
  close(): void | Promise<void>;
}

/**
 * Makes a program answer. `program` is the parsed `program.json`, checked here; `weights` are the bytes of `weights.bin` and
 * must not change while the runtime lives. Throws ProgramError (INVALID_PROGRAM).
 */
export async function loadProgram(
  program: unknown,
  weights: Uint8Array,
  options: LoadOptions = {},
): Promise<Runtime> {
  const parsed = parseProgram(program);
  if (weights.byteLength !== parsed.weights.size) {
    throw ProgramError.program(
      '/weights/size',
      `says ${parsed.weights.size}, but there are ${weights.byteLength} bytes of weights`,
    );
  }
  await loadDense();
  const slots = new Slots(inputNames(parsed));
  const copied = parsed.nodes.some(({ kind }) => kind !== 'kernel');
  const reader = new WeightsReader(weights);
  // Others copy what they need. Views of kernels would keep the whole, and with it what only the others needed.
  const kernelWeights = copied ? reader.copying() : reader;
  const steps: Step[] = [];
  try {
    for (const [i, node] of parsed.nodes.entries()) {
      const context = { slots, options, reader, kernelReader: kernelWeights };
      steps.push(await loadNode(node, { ...context, pointer: `/nodes/${i}` }));
    }
    for (const { name } of outputsOf(parsed)) slots.find(name, '/signature/outputs');
  } catch (error) {
    await closeAll(steps);
    throw error;
  }
  const keepsWeights = parsed.nodes.some((node) => node.kind === 'kernel' && node.weights);
  const whole = keepsWeights ? weights.byteLength : 0;
  // The arrays of graphs inside the weights are there once, however many graphs there are.
  const inGraphs = parsed.nodes.some((node) => node.kind === 'onnx' && node.graph);
  const shared = inGraphs ? weights.byteLength : 0;
  reader.close();
  kernelWeights.close();
  return new Graph(parsed, slots, steps, shared + (copied ? kernelWeights.copied : whole));
}

/** What the graph calls its inputs; see `Binding`. */
function inputNames(program: Program): string[] {
  const { binding } = program;
  const names = inputsOf(program).map((input) => input.name);
  if (binding.kind === 'tensors') return names;
  return binding.matrix ? ['X'] : names.map((name) => `${COLUMN_PREFIX}${name}`);
}

/** The inputs of all signatures, as the graph calls them. */
function inputsOf({ signature, signatures }: Program): TensorSpec[] {
  if (!signatures) return signature.inputs;
  return Object.entries(signatures.named).flatMap(([of, { inputs }]) =>
    inputs.map((spec) => ({ ...spec, name: inputName(of, spec.name) })),
  );
}

/** The outputs of all signatures, as the graph calls them, and what users call them. */
function outputsOf({ signature, signatures }: Program): { name: string; shown: string }[] {
  if (!signatures) return signature.outputs.map(({ name }) => ({ name, shown: name }));
  return Object.entries(signatures.named).flatMap(([of, { outputs }]) =>
    outputs.map(({ name }) => ({ name: outputName(of, name), shown: name })),
  );
}

async function loadNode(node: Program['nodes'][number], context: LoadContext): Promise<Step> {
  switch (node.kind) {
    case 'kernel':
      return loadKernel(node, context);
    case 'forest':
    case 'oblivious':
      return loadForestNode(node, context);
    case 'onnx':
      return loadOnnx(node, context);
    case 'loop':
      return loadLoop(node, context, loadNode);
    case 'branch':
      return loadBranch(node, context, loadNode);
  }
}

function loadKernel(node: KernelNode, context: LoadContext): Step {
  const kernel = kernels.get(node.kernel);
  if (!kernel) {
    fail(
      `${context.pointer}/kernel`,
      `this version has no kernel "${node.kernel}"; it may come from a newer version`,
    );
  }
  const given = new KernelArguments(node, context.kernelReader, context.pointer);
  const run = kernel(given);
  const runSparse = sparseForms.get(node.kernel)?.(given, run);
  return {
    ...ports(node.inputs, node.outputs, context),
    bytes: 0,
    run: (inputs) => {
      const values = valuesOf(inputs, context.pointer);
      if (!values.some((value) => value.sparse)) return run(values);
      return runSparse?.(values) ?? run(values.map(dense));
    },
  };
}

async function loadForestNode(
  node: ForestNode | ObliviousNode,
  context: LoadContext,
): Promise<Step> {
  const options = { pointer: context.pointer, withLeaves: node.outputs[1] !== '' };
  const forest =
    node.kind === 'forest'
      ? await loadForest(node.forest, context.reader, options)
      : await loadOblivious(node.forest, context.reader, options);
  return {
    ...ports(node.inputs, node.outputs, context),
    bytes: forest.bytes,
    run([rows], [scores, leaf]) {
      if (!rows || Array.isArray(rows)) fail(context.pointer, 'a forest takes one matrix');
      const asked = { scores: scores === true, leaf: leaf === true };
      return rows.sparse ? runInBlocks(forest, rows, asked) : forest.run(rows, asked);
    },
  };
}

/** Numbers of a sparse table that are made full at once. */
const BLOCK_CELLS = 2 ** 21;

/** Trees read full rows: a few at a time where there are many columns. */
function runInBlocks(forest: LoadedForest, rows: Value, asked: WantedOutputs): Value[] {
  const { rows: count, columns } = tableShape(rows);
  const size = Math.max(1, Math.floor(BLOCK_CELLS / Math.max(1, columns)));
  const parts: Tensor[][] = [];
  for (let from = 0; from < count || from === 0; from += size) {
    const block = denseRows(rows, from, Math.min(count, from + size));
    parts.push(forest.run(block, asked).map((value, i) => ({ ...value, name: `${i}` })));
  }
  return concatRows(parts);
}

async function loadOnnx(node: OnnxNode, context: LoadContext): Promise<Step> {
  const { onnx } = context.options;
  if (!onnx) fail(context.pointer, 'the program has an ONNX part and nothing here runs one');
  const { files, main } = graphFiles(node, context);
  const names = Object.keys(node.inputs);
  const results = Object.keys(node.outputs);
  const session = await onnx.load(files, main, node.bridge);
  try {
    return {
      ...ports(Object.values(node.inputs), Object.values(node.outputs), context),
      bytes: node.graph ? elementCount(node.graph.shape) : session.bytes,
      run: (inputs, wanted) => runOnnx(session, names, inputs, results, wanted),
      close: () => session.close(),
    };
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** The files that a graph is made of. */
function graphFiles(
  { file, graph }: OnnxNode,
  { options, reader, pointer }: LoadContext,
): { files: Map<string, Uint8Array>; main: string } {
  if (graph) {
    const main = 'graph.onnx';
    const bytes = reader.uint8(graph, `${pointer}/graph`);
    return {
      main,
      files: new Map([
        [main, bytes],
        [WEIGHTS_FILE, reader.whole],
      ]),
    };
  }
  const files = options.files ?? new Map<string, Uint8Array>();
  if (file === undefined || !files.has(file)) fail(`${pointer}/file`, `there is no file "${file}"`);
  return { files, main: file };
}

async function runOnnx(
  session: OnnxSession,
  names: string[],
  inputs: Slot[],
  results: string[],
  wanted: boolean[],
): Promise<Slot[]> {
  const tensors = inputs.flatMap((slot, i) => named(names[i] ?? '', slot));
  const wantedResults = results.filter((_, i) => wanted[i]);
  const answers = await session.run(tensors, wantedResults);
  return results.map((name) => {
    const whole = answers.find((tensor) => tensor.name === name);
    return whole ?? answers.filter((tensor) => isItemOf(tensor.name, name));
  });
}

/** A slot as tensors with the name of a graph's input or output. */
function named(name: string, slot: Slot): Tensor[] {
  return Array.isArray(slot)
    ? slot.map((value, i) => ({ ...value, name: `${name}.${i}` }))
    : [{ ...dense(slot), name }];
}

function isItemOf(item: string, sequence: string): boolean {
  return item.startsWith(`${sequence}.`) && /^\d+$/.test(item.slice(sequence.length + 1));
}

/** Which steps to run for a set of outputs, and which outputs of each. */
interface Plan {
  steps: { step: Step; wanted: boolean[] }[];
  outputs: number[];
}

const MOST_PLANS = 64;
/** Rows that go through all steps together. */
const BLOCK_ROWS = 512;
/** Numbers of an answer that may be joined from those of blocks. */
const MOST_JOINED = 2 ** 24;

class Graph implements Runtime {
  readonly signature: Signature;
  readonly signatures: Signatures | undefined;
  readonly binding: Binding;
  readonly rowwise: boolean;
  readonly bytes: number;
  private readonly plans = new Map<string, Plan>();
  /** What was asked last: mostly it is asked again. */
  private last: { outputs: string[]; plan: Plan } | undefined;
  private readonly noValues: undefined[];
  private readonly inBlocks: boolean;
  /** What users call the outputs, where the graph calls them otherwise. */
  private readonly shown: ReadonlyMap<string, string> | undefined;
  private readonly inputs: { name: string; sequence: boolean; optional: boolean }[];

  constructor(
    program: Program,
    private readonly slots: Slots,
    private readonly steps: Step[],
    weightBytes: number,
  ) {
    this.signature = program.signature;
    this.signatures = program.signatures;
    this.shown =
      program.signatures && new Map(outputsOf(program).map(({ name, shown }) => [name, shown]));
    this.binding = program.binding;
    this.rowwise = program.rowwise;
    this.bytes = steps.reduce((sum, step) => sum + step.bytes, weightBytes);
    const inputs = inputsOf(program);
    const specs = new Map(inputs.map((spec) => [spec.name, spec]));
    this.inBlocks =
      program.rowwise &&
      program.nodes.every(({ kind }) => kind !== 'onnx') &&
      inputs.every(({ sequence, optional }) => !sequence && !optional);
    this.noValues = Array.from({ length: slots.count }, () => undefined);
    const given =
      program.binding.kind === 'table' && program.binding.matrix
        ? ['X']
        : inputs.map((input) => input.name);
    this.inputs = given.map((name) => {
      const { sequence = false, optional = false } = specs.get(name) ?? {};
      return { name, sequence, optional };
    });
  }

  run(inputs: Tensor[], outputs: string[]): Tensor[] | Promise<Tensor[]> {
    const plan = this.planFor(outputs);
    const rows = inputs[0]?.shape[0] ?? 0;
    if (rows <= BLOCK_ROWS || !this.inBlocks || plan.steps.length === 1)
      return this.runWhole(inputs, outputs, plan);
    return this.runInBlocks(inputs, outputs, plan, rows) ?? this.runWhole(inputs, outputs, plan);
  }

  /**
   * Runs some rows after the others, so that what is computed on the way stays in the processor's cache, and memory bounded.
   * Undefined where that cannot be, or fails: the rows that a message names are those of the whole.
   */
  private runInBlocks(
    inputs: Tensor[],
    outputs: string[],
    plan: Plan,
    rows: number,
  ): Tensor[] | undefined {
    if (inputs.some(({ shape }) => shape[0] !== rows)) return undefined;
    const parts: Tensor[][] = [];
    try {
      for (let from = 0; from < rows; from += BLOCK_ROWS) {
        const count = Math.min(BLOCK_ROWS, rows - from);
        const part = this.runWhole(takeRows(inputs, { from, count }), outputs, plan);
        if (part instanceof Promise || part.some(({ shape }) => shape[0] !== count))
          return undefined;
        const numbers = part.reduce((sum, { data }) => sum + data.length, 0);
        // What is very large is for the whole to refuse.
        if ((numbers / count) * rows > MOST_JOINED) return undefined;
        parts.push(part);
      }
    } catch (error) {
      if (error instanceof ProgramError) return undefined;
      throw error;
    }
    return concatRows(parts);
  }

  private runWhole(inputs: Tensor[], outputs: string[], plan: Plan): Tensor[] | Promise<Tensor[]> {
    const values: Values = this.noValues.slice();
    this.inputs.forEach(({ name, sequence, optional }, i) => {
      values[i] = sequence
        ? inputs.filter((tensor) => isItemOf(tensor.name, name))
        : (inputs.find((tensor) => tensor.name === name) ?? (optional ? [] : undefined));
    });
    const { shown } = this;
    const names = shown ? outputs.map((output) => shown.get(output) ?? output) : outputs;
    const rest = this.runFrom(0, plan, values);
    return rest ? rest.then(() => answerOf(plan, names, values)) : answerOf(plan, names, values);
  }

  async close(): Promise<void> {
    await closeAll(this.steps);
  }

  /** Runs the steps from `from` on, without leaving this turn of the event loop while they are synchronous. */
  private runFrom(from: number, plan: Plan, values: Values): Promise<void> | undefined {
    for (let i = from; i < plan.steps.length; i++) {
      const entry = plan.steps[i];
      if (!entry) break;
      const { step, wanted } = entry;
      const made = step.run(
        step.inputs.map((slot) => get(values, slot)),
        wanted,
      );
      if (made instanceof Promise) {
        return made.then((slots) => {
          put(values, step, slots);
          return this.runFrom(i + 1, plan, values);
        });
      }
      put(values, step, made);
    }
    return undefined;
  }

  private planFor(outputs: string[]): Plan {
    const { last } = this;
    if (
      last?.outputs.length === outputs.length &&
      outputs.every((name, i) => name === last.outputs[i])
    ) {
      return last.plan;
    }
    const key = outputs.join('\0');
    const plan = this.plans.get(key) ?? this.makePlan(outputs);
    if (this.plans.size >= MOST_PLANS) this.plans.clear();
    this.plans.set(key, plan);
    this.last = { outputs: [...outputs], plan };
    return plan;
  }

  private makePlan(outputs: string[]): Plan {
    const slots = outputs.map((name) => this.slots.find(name, '/signature/outputs'));
    const needed = new Set(slots);
    const steps: Plan['steps'] = [];
    for (const step of this.steps.toReversed()) {
      const wanted = step.outputs.map((slot) => needed.has(slot));
      if (!wanted.includes(true)) continue;
      for (const slot of step.inputs) needed.add(slot);
      steps.unshift({ step, wanted });
    }
    return { steps, outputs: slots };
  }
}

function answerOf(plan: Plan, outputs: string[], values: Values): Tensor[] {
  return outputs.flatMap((name, i) => named(name, get(values, plan.outputs[i])));
}

function get(values: Values, slot: number | undefined): Slot {
  const value = slot === undefined ? undefined : values[slot];
  if (!value) throw new ProgramError('INVALID_INPUT', 'an input of the program was not given');
  return value;
}

function put(values: Values, step: Step, made: Slot[]): void {
  step.outputs.forEach((slot, i) => {
    if (slot >= 0) values[slot] = made[i];
  });
}
