import { below64, NodeFlag } from '#program';
import { ForestBuilder, type TreeNode } from '../forest-builder.js';
import { DamagedModel, type Verdict } from '../importer.js';
import { ProgramBuilder } from '../program-builder.js';
import { TreeliteColumns } from './columns.js';
import { MOST, type TreeliteModel, type TreeliteNode } from './model.js';
import { addOutputs } from './outputs.js';

/** Compiles a model so that it answers what GTIL of Treelite 4 does. Throws UnsupportedModel and DamagedModel. */
export function compileModel(model: TreeliteModel, importer: string): Verdict {
  const { features, trees, dtype } = model;
  if (!(features >= 0 && features <= MOST.features)) fail(`num_feature is ${features}`);
  const columns = new TreeliteColumns(model);
  const comparison = comparisonOf(model);
  const builder = new ProgramBuilder();
  const { leafWidth } = columns;
  const sums = { columns: columns.count, sumDtype: dtype };
  const forest = new ForestBuilder(
    { ...sums, features, comparison, inputDtype: dtype, category: 'non-negative' },
    leafWidth,
  );
  for (const [i, tree] of trees.entries()) {
    const places = columns.of(i);
    const [first = 0] = places;
    const given: NodeContext = { name: `tree ${i}`, comparison, places, leafWidth };
    forest.addTree({
      name: given.name,
      nodes: tree.nodes,
      read: (node) => readNode(tree.read(node), node, given),
      column: leafWidth === 1 ? Math.max(0, first) : 0,
    });
  }
  const rows =
    dtype === 'FP32' ? builder.kernel('cast', ['X'], { attributes: { dtype: 'FP32' } }) : 'X';
  const { scores, leaf } = builder.forest(rows, forest.build(builder.weights));
  addOutputs(builder, scores, model, columns);
  builder.output({ name: 'leaf', dtype: 'INT32', shape: [-1, trees.length] }, leaf);
  const { program, weights } = builder.finish({
    importer,
    format: 'treelite',
    inputs: [{ name: 'X', dtype: 'FP64', shape: [-1, features] }],
    binding: { kind: 'table', matrix: { dtype: 'FP64', columns: features } },
    defaultOutputs: ['predict'],
  });
  return { state: 'servable', program, weights };
}

function fail(message: string): never {
  throw new DamagedModel(`Treelite model: ${message}`);
}

/** The test of the forest: that of all nodes (turned round for greater), or `<=` where they differ. */
function comparisonOf({ trees }: TreeliteModel): '<' | '<=' {
  const seen = new Set<string>();
  for (const tree of trees) {
    for (let node = 0; node < tree.nodes; node++) {
      const read = tree.read(node);
      if ('operator' in read)
        seen.add(read.operator === '<' || read.operator === '>=' ? '<' : '<=');
    }
  }
  return seen.has('<') && !seen.has('<=') ? '<' : '<=';
}

interface NodeContext {
  name: string;
  comparison: '<' | '<=';
  /** The column of each number in a leaf. */
  places: number[];
  leafWidth: number;
}

function readNode(
  node: TreeliteNode,
  number: number,
  { name, comparison, places, leafWidth }: NodeContext,
): TreeNode {
  if ('values' in node) {
    if (node.values.length !== places.length || node.values.some(Number.isNaN)) {
      fail(`${name}, node ${number} must have ${places.length} numbers`);
    }
    if (leafWidth === 1) return { values: places[0] === -1 ? [0] : node.values, number };
    const values = new Float64Array(leafWidth);
    for (const [i, place] of places.entries()) if (place >= 0) values[place] = node.values[i] ?? 0;
    return { values, number };
  }
  const { feature, left, right, defaultLeft } = node;
  if ('categories' in node) {
    const { categories, matchGoesRight } = node;
    if (!categories.every((c) => Number.isInteger(c) && c >= 0)) {
      fail(`${name}, node ${number} lists something that is not a category`);
    }
    // More than what floats hold exactly is never matched.
    const set = categories.filter((category) => category <= MOST.category);
    return matchGoesRight
      ? { feature, set, left: right, right: left, flags: defaultLeft ? 0 : NodeFlag.missingLeft }
      : { feature, set, left, right, flags: defaultLeft ? NodeFlag.missingLeft : 0 };
  }
  const { operator } = node;
  const strict = operator === '<' || operator === '>=';
  const threshold = strict && comparison === '<=' ? below64(node.threshold) : node.threshold;
  const turned = operator === '>' || operator === '>=';
  const flags = turned === defaultLeft ? 0 : NodeFlag.missingLeft;
  return turned
    ? { feature, threshold, left: right, right: left, flags }
    : { feature, threshold, left, right, flags };
}
