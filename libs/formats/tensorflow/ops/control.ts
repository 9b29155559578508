import { commonShape, integerOf } from '../../tensor-graph/known.js';
import { TensorGraph, type GraphValue } from '../../tensor-graph/tensor-graph.js';
import { LoopLowering } from '../loop-lowering.js';
import { all, isTensor, type OpRule, type TfOp, type TfValue } from '../op-rule.js';
import type { TfFunction } from '../tf-graph.js';
import { isList, sizeAt, TensorList } from '../tensor-list.js';
import { truth } from '../truth.js';

/** Branches and loops, as TensorFlow 2 has them: their bodies are functions. */
export const control: Record<string, OpRule> = {
  ...all((op) => {
    const [then, other] = ['then_branch', 'else_branch'].map((name) =>
      op.lowering.function(op.function(name)),
    );
    if (!then || !other) return op.unsupported('it lacks a branch.');
    return choose(op, truth(op.graph, op.tensor(0)), [then, other], op.inputs.slice(1));
  }, 'If StatelessIf'),
  ...all((op) => {
    const branches = op.list('branches').map((branch) => {
      if (branch.kind !== 'function') return op.unsupported('its branches are no functions.');
      return op.lowering.function(branch.value);
    });
    return chooseOfMany(op, op.tensor(0), branches, 0);
  }, 'Case StatelessCase SwitchCase'),
  ...all((op) => new LoopLowering(op).outputs(), 'While StatelessWhile'),
};

/** Any index that no branch has takes the last one. */
function chooseOfMany(
  op: TfOp,
  index: GraphValue,
  branches: TfFunction[],
  first: number,
  graph = op.graph,
): TfValue[] {
  const [branch, ...rest] = branches;
  if (!branch) return op.unsupported('it has no branches.');
  const given = op.inputs.slice(1);
  const take = (scope: TensorGraph, taken: TfFunction) => callOf(op, scope, taken, given);
  const known = integerOf(index);
  if (known !== undefined) {
    const at = known >= first && known < first + branches.length ? known - first : -1;
    return take(graph, branches.at(at) ?? branch);
  }
  if (rest.length === 0) return take(graph, branch);
  const isFirst = graph.op('Equal', [index, graph.scalar(index.dtype, first)]);
  return branched(
    op,
    graph,
    isFirst,
    (scope) => take(scope, branch),
    (scope) => chooseOfMany(op, index, rest, first + 1, scope),
  );
}

function choose(
  op: TfOp,
  condition: GraphValue,
  [then, other]: [TfFunction, TfFunction],
  given: TfValue[],
): TfValue[] {
  const known = integerOf(condition);
  if (known !== undefined) return callOf(op, op.graph, known ? then : other, given);
  return branched(
    op,
    op.graph,
    condition,
    (scope) => callOf(op, scope, then, given),
    (scope) => callOf(op, scope, other, given),
  );
}

/** The outputs of a branch that something needs; the others are there in name only. */
function callOf(op: TfOp, scope: TensorGraph, taken: TfFunction, given: TfValue[]): TfValue[] {
  for (const value of given) if (isList(value)) value.uses++;
  const used = taken.outputs.flatMap((_, i) => (op.used.has(i) ? i : []));
  const wanted = used.flatMap((i) => taken.outputs[i] ?? []);
  const values = op.lowering.call(scope, taken, given, wanted);
  const outputs: TfValue[] = taken.outputs.map(() => ({ resource: 'value that nothing needs' }));
  used.forEach((at, i) => {
    const value = values[i];
    if (value) outputs[at] = value;
  });
  return outputs;
}

function branched(
  op: TfOp,
  graph: TensorGraph,
  condition: GraphValue,
  whenTrue: (scope: TensorGraph) => TfValue[],
  whenFalse: (scope: TensorGraph) => TfValue[],
): TfValue[] {
  const scopes = [new TensorGraph(graph, 'branch'), new TensorGraph(graph, 'branch')] as const;
  const [then, other] = [whenTrue(scopes[0]), whenFalse(scopes[1])];
  const sides: [GraphValue[], GraphValue[]] = [[], []];
  const makers = then.map((one, i): ((made: GraphValue[]) => TfValue) => {
    const two = other[i];
    if (!two) return op.unsupported('its branches have not as many outputs.');
    if (one === two || (!op.used.has(i) && !isTensor(one))) return () => one;
    return joined(op, graph, scopes, [one, two], sides);
  });
  if (sides[0].length === 0) return makers.map((make) => make([]));
  const outputs = sides[0].map(({ dtype, shape }, i) => ({
    dtype,
    shape: commonShape(shape, sides[1][i]?.shape),
  }));
  const [then_branch, else_branch] = sides.map((values, i) => {
    const scope = scopes[i === 0 ? 0 : 1];
    scope.keepOnly(values);
    return { scope, inputs: [], outputs: values };
  });
  if (!then_branch || !else_branch) return [];
  const made = graph.ops('If', [condition], { outputs, bodies: { then_branch, else_branch } });
  return makers.map((make) => make(made));
}

/** Adds what an output has on both sides to what the branches answer; answers how the output is made of that. */
function joined(
  op: TfOp,
  graph: TensorGraph,
  scopes: readonly [TensorGraph, TensorGraph],
  [one, two]: [TfValue, TfValue],
  sides: [GraphValue[], GraphValue[]],
): (made: GraphValue[]) => TfValue {
  const at = sides[0].length;
  const element = (made: GraphValue[]) =>
    made[at] ?? op.unsupported('its branches have not as many outputs.');
  if (isTensor(one) && isTensor(two)) {
    if (one.dtype !== two.dtype) return op.unsupported('its branches answer values of two types.');
    sides[0].push(one);
    sides[1].push(two);
    return element;
  }
  if (!isList(one) || !isList(two))
    return op.unsupported('its branches answer different things that are no tensors.');
  const items = [one.stack(scopes[0]), two.stack(scopes[1])] as const;
  if (!items[0] || !items[1])
    return op.unsupported('a branch answers a list whose elements are not known.');
  sides[0].push(items[0]);
  sides[1].push(items[1]);
  return (made) => {
    const all = element(made);
    const count = one.count === two.count ? one.count : sizeAt(graph, all, 0);
    return new TensorList({ ...one.facts, items: all, loose: false, count });
  };
}
