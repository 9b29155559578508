import { newData, elementCount } from './dtype.js';
import type { Value } from './kernels/kernel.js';
import { dense } from './kernels/sparse.js';
import { ProgramError } from './program-error.js';
import type { Body, BranchNode, LoopNode, ProgramNode } from './program.js';
import { closeAll, fail, ports, Slots, valuesOf } from './steps.js';
import type { LoadContext, Slot, Step, Values } from './steps.js';

type LoadNode = (node: ProgramNode, context: LoadContext) => Promise<Step>;

/** Nodes inside of a node, ready to run. */
class LoadedBody {
  private constructor(
    private readonly slots: Slots,
    private readonly steps: Step[],
    private readonly outputs: number[],
  ) {}

  static async load(body: Body, context: LoadContext, loadNode: LoadNode): Promise<LoadedBody> {
    const slots = new Slots(body.inputs);
    const steps: Step[] = [];
    try {
      for (const [i, node] of body.nodes.entries())
        steps.push(
          await loadNode(node, { ...context, slots, pointer: `${context.pointer}/nodes/${i}` }),
        );
      const pointer = `${context.pointer}/outputs`;
      return new LoadedBody(
        slots,
        steps,
        body.outputs.map((name) => slots.find(name, pointer)),
      );
    } catch (error) {
      await closeAll(steps);
      throw error;
    }
  }

  get bytes(): number {
    return this.steps.reduce((sum, step) => sum + step.bytes, 0);
  }

  async run(inputs: Slot[]): Promise<Slot[]> {
    const values: Values = Array.from({ length: this.slots.count }, (_, i) => inputs[i]);
    for (const step of this.steps) {
      const given = step.inputs.map((slot) => made(values[slot]));
      const wanted = step.outputs.map((slot) => slot >= 0);
      const outputs = await step.run(given, wanted);
      step.outputs.forEach((slot, i) => {
        if (slot >= 0) values[slot] = outputs[i];
      });
    }
    return this.outputs.map((slot) => made(values[slot]));
  }

  async close(): Promise<void> {
    await closeAll(this.steps);
  }
}

function made(slot: Slot | undefined): Slot {
  if (!slot) throw new ProgramError('INVALID_PROGRAM', 'a value of a body was not made');
  return slot;
}

/** A loop around nodes; see {@link LoopNode}. */
export async function loadLoop(
  node: LoopNode,
  context: LoadContext,
  loadNode: LoadNode,
): Promise<Step> {
  const { states: count, scans } = node;
  const { body } = node;
  if (
    node.inputs.length !== body.inputs.length ||
    node.inputs.length < count + 2 ||
    body.outputs.length !== 1 + count + scans.length ||
    node.outputs.length !== count + scans.length
  )
    fail(context.pointer, 'the numbers of values of a loop and of its body do not agree');
  const at = ports(node.inputs, node.outputs, context);
  const pointer = `${context.pointer}/body`;
  const loaded = await LoadedBody.load(body, { ...context, pointer }, loadNode);
  return {
    ...at,
    bytes: loaded.bytes,
    async run([most, first, ...given]) {
      const turns = integerOf(most);
      let go: Slot | undefined = first;
      let states = given.slice(0, count);
      const captured = given.slice(count);
      const collected: Value[][] = scans.map(() => []);
      for (let turn = 0n; turn < turns && isTrue(go); turn++) {
        const number: Value = { dtype: 'INT64', shape: [], data: BigInt64Array.of(turn) };
        const answer: Slot[] = await loaded.run([number, made(go), ...states, ...captured]);
        go = answer[0];
        states = answer.slice(1, 1 + count);
        valuesOf(answer.slice(1 + count), pointer).forEach((value, i) => {
          collected[i]?.push(dense(value));
        });
      }
      return [...states, ...scans.map((scan, i) => stacked(collected[i] ?? [], scan))];
    },
    close: () => loaded.close(),
  };
}

/** One of two bodies; see {@link BranchNode}. */
export async function loadBranch(
  node: BranchNode,
  context: LoadContext,
  loadNode: LoadNode,
): Promise<Step> {
  const { whenTrue, whenFalse, inputs, outputs } = node;
  for (const body of [whenTrue, whenFalse])
    if (body.inputs.length !== inputs.length - 1 || body.outputs.length !== outputs.length)
      fail(context.pointer, 'the numbers of values of a branch and of its bodies do not agree');
  const at = ports(inputs, outputs, context);
  const load = (body: Body, name: string) =>
    LoadedBody.load(body, { ...context, pointer: `${context.pointer}/${name}` }, loadNode);
  const yes = await load(whenTrue, 'whenTrue');
  let no: LoadedBody;
  try {
    no = await load(whenFalse, 'whenFalse');
  } catch (error) {
    await yes.close();
    throw error;
  }
  return {
    ...at,
    bytes: yes.bytes + no.bytes,
    run: ([condition, ...captured]) => (isTrue(condition) ? yes : no).run(captured),
    async close() {
      await yes.close();
      await no.close();
    },
  };
}

function only(slot: Slot | undefined): number | bigint {
  const value = slot && !Array.isArray(slot) ? slot.data[0] : undefined;
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  throw ProgramError.input('/inputs', 'A condition inside of the model has no element.');
}

function isTrue(slot: Slot | undefined): boolean {
  return Boolean(only(slot));
}

function integerOf(slot: Slot | undefined): bigint {
  return BigInt(only(slot));
}

/** What each turn made, along a new first dimension. */
function stacked(items: Value[], { dtype, shape }: LoopNode['scans'][number]): Value {
  const [first] = items;
  if (!first) {
    const sizes = shape.map((size) => Math.max(0, size));
    return { dtype, shape: [0, ...sizes], data: newData(dtype, 0) };
  }
  const size = elementCount(first.shape);
  const differs = items.some(
    (item) => item.dtype !== first.dtype || item.shape.join() !== first.shape.join(),
  );
  if (differs)
    throw ProgramError.input('/inputs', 'What a loop of the model collects differs in its shape.');
  const data = newData(first.dtype, size * items.length);
  items.forEach((item, i) => {
    if (Array.isArray(data) && Array.isArray(item.data))
      for (let k = 0; k < size; k++) data[i * size + k] = item.data[k] ?? null;
    else (data as Float32Array).set(item.data as Float32Array, i * size);
  });
  return { dtype: first.dtype, shape: [items.length, ...first.shape], data };
}
