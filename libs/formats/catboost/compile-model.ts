import { NodeFlag } from '#program';
import { ForestBuilder, type TreeNode } from '../forest-builder.js';
import { DamagedModel, type Verdict } from '../importer.js';
import { ProgramBuilder, type NodeBuilder } from '../program-builder.js';
import { addOutputs } from './add-outputs.js';
import { bindFeatures, type Features } from './bind-features.js';
import {
  isOblivious,
  type BranchingTree,
  type CatboostModel,
  type ObliviousTree,
} from './model.js';

/** Compiles a model. Throws UnsupportedModel and DamagedModel. */
export function compileModel(model: CatboostModel, importer: string): Verdict {
  checkNumbers(model);
  const builder = new ProgramBuilder();
  const { inputs, binding, ...features } = bindFeatures(builder, model);
  addOutputs(builder, addScores(builder, model, features), model);
  const { program, weights } = builder.finish({
    importer,
    format: 'catboost',
    inputs,
    binding,
    defaultOutputs: ['predict'],
  });
  return { state: 'servable', program, weights };
}

/** Adds what makes raw scores of features: FP64 `[rows]` or `[rows, dimensions]`, and leaves INT32 `[rows, trees]`. */
export function addScores(
  builder: NodeBuilder,
  model: CatboostModel,
  features: Features,
): { margin: string; leaf: string } {
  const { trees } = model;
  const { scores, leaf } = isOblivious(trees)
    ? addOblivious(builder, model, trees, features)
    : addBranching(builder, model, trees, features);
  const margin =
    model.scale === 1 && model.bias.every((bias) => bias === 0)
      ? scores
      : builder.kernel('scale-and-bias', [scores], {
          attributes: { scale: model.scale },
          weights: { bias: builder.weights.add('FP64', Float64Array.from(model.bias)) },
        });
  return { margin, leaf };
}

/** Checks what all ways to compile a model rely on. Throws DamagedModel. */
export function checkNumbers({ scale, bias, floats, ctrs }: CatboostModel): void {
  if (![scale, ...bias].every(Number.isFinite)) {
    throw new DamagedModel('scale_and_bias has a number that is not finite.');
  }
  for (const { borders } of [...floats, ...ctrs]) {
    for (let i = 0; i < borders.length; i++) {
      if (!Number.isFinite(borders[i]) || (borders[i] ?? 0) <= (borders[i - 1] ?? -Infinity)) {
        throw new DamagedModel('The borders of a feature must be finite numbers that ascend.');
      }
    }
  }
}

function addOblivious(
  builder: NodeBuilder,
  model: CatboostModel,
  trees: ObliviousTree[],
  { rows, tests, width, missingGreatest }: Features,
) {
  const starts = [0];
  const asked: number[] = [];
  const borders: number[] = [];
  for (const [i, { splits, leaves }] of trees.entries()) {
    for (const split of Array.from(splits)) {
      const test = tests[split];
      if (!test) throw new DamagedModel(`Tree ${i} asks split ${split} of ${tests.length}.`);
      asked.push(test.column);
      borders.push(test.border);
    }
    starts.push(asked.length);
    const expected = 2 ** splits.length * model.dimensions;
    if (leaves.length !== expected || leaves.some(Number.isNaN)) {
      throw new DamagedModel(`Tree ${i} must have ${expected} leaf values, all numbers.`);
    }
  }
  const values = new Float64Array(trees.reduce((sum, { leaves }) => sum + leaves.length, 0));
  let at = 0;
  for (const { leaves } of trees) {
    values.set(leaves, at);
    at += leaves.length;
  }
  const { weights } = builder;
  const { dimensions } = model;
  return builder.oblivious(rows, {
    features: width,
    trees: trees.length,
    columns: dimensions,
    weights: {
      starts: weights.add('INT32', Int32Array.from(starts)),
      features: weights.add('INT32', Int32Array.from(asked)),
      borders: weights.add('FP32', Float32Array.from(borders)),
      missingGreatest: weights.add('UINT8', missingGreatest),
      values: weights.add('FP64', values, [values.length / dimensions, dimensions]),
    },
  });
}

/** CatBoost goes right where a value is greater, so left where it is at most the border. */
function addBranching(
  builder: NodeBuilder,
  model: CatboostModel,
  trees: BranchingTree[],
  { rows, tests, width, missingGreatest }: Features,
) {
  const { dimensions } = model;
  const forest = new ForestBuilder(
    {
      features: width,
      columns: dimensions,
      comparison: '<=',
      inputDtype: 'FP32',
      sumDtype: 'FP64',
    },
    dimensions,
  );
  for (const [i, { nodes }] of trees.entries()) {
    const name = `tree ${i}`;
    const read = (number: number): TreeNode => {
      const node = nodes[number];
      if (!node) throw new DamagedModel(`${name} has no node ${number}`);
      if ('values' in node) {
        if (node.values.length === dimensions && !node.values.some(Number.isNaN)) return node;
        throw new DamagedModel(`${name}: leaf ${node.number} must have ${dimensions} numbers`);
      }
      const test = tests[node.split];
      if (!test) throw new DamagedModel(`${name} asks split ${node.split} of ${tests.length}`);
      return {
        feature: test.column,
        threshold: test.border,
        left: node.left,
        right: node.right,
        flags: missingGreatest[test.column] === 1 ? 0 : NodeFlag.missingLeft,
      };
    };
    forest.addTree({ name, nodes: nodes.length, read, column: 0 });
  }
  return builder.forest(rows, forest.build(builder.weights));
}
