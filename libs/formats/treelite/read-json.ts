import type { Part } from '../document.js';
import { UnsupportedModel } from '../importer.js';
import { MOST, type TreeliteModel, type TreeliteNode, type TreeliteOperator } from './model.js';

const TYPES: Record<string, 'FP32' | 'FP64'> = { float32: 'FP32', float64: 'FP64' };
const OPERATORS: readonly TreeliteOperator[] = ['<', '<=', '>', '>='];

/** Reads what `Model.dump_as_json` of Treelite 4 writes. Throws DamagedModel and UnsupportedModel. */
export function readJson(document: Part): TreeliteModel {
  const threshold = document.field('threshold_type').text();
  const dtype = Object.hasOwn(TYPES, threshold) ? TYPES[threshold] : undefined;
  if (!dtype || document.field('leaf_output_type').text() !== threshold) {
    throw new UnsupportedModel(
      'A Treelite model must have thresholds and leaves of float32 or float64.',
    );
  }
  const [rows = 0, columns = 0] = Array.from(document.field('leaf_vector_shape').numbers(2));
  const task = document.field('task_type').text();
  const trees = document.field('trees').list();
  return {
    dtype,
    features: document.field('num_feature').integer(0, MOST.features),
    classifier: task === 'kBinaryClf' || task === 'kMultiClf',
    averaged: document.field('average_tree_output').value === true,
    targets: document.field('num_target').integer(1, MOST.columns),
    classes: Array.from(document.field('num_class').numbers()),
    leafShape: [rows, columns],
    treeTargets: document.field('target_id').numbers(trees.length),
    treeClasses: document.field('class_id').numbers(trees.length),
    postprocessor: document.field('postprocessor').text(),
    sigmoidAlpha: document.field('sigmoid_alpha').number(),
    ratio: document.field('ratio_c').number(),
    baseScores: Array.from(document.field('base_scores').numbers()),
    trees: trees.map(readTree),
  };
}

function readTree(tree: Part): TreeliteModel['trees'][number] {
  const nodes = tree.field('nodes').list();
  if (nodes.length !== tree.field('num_nodes').integer(1, MOST.trees)) {
    tree.damaged('must have as many nodes as num_nodes says');
  }
  for (const [i, node] of nodes.entries()) {
    if (node.field('node_id').value !== i) node.damaged(`must be node ${i}`);
  }
  return { nodes: nodes.length, read: (node) => readNode(nodes[node] ?? tree.damaged('no node')) };
}

function readNode(node: Part): TreeliteNode {
  const leaf = node.optional('leaf_value');
  if (leaf) {
    return { values: Array.isArray(leaf.value) ? Array.from(leaf.numbers()) : [leaf.number()] };
  }
  const children = {
    feature: node.field('split_feature_id').integer(0, MOST.features),
    left: node.field('left_child').number(),
    right: node.field('right_child').number(),
    defaultLeft: node.field('default_left').value === true,
  };
  if (node.field('node_type').text() === 'categorical_test_node') {
    return {
      ...children,
      categories: Array.from(node.field('category_list').numbers()),
      matchGoesRight: node.field('category_list_right_child').value === true,
    };
  }
  const text = node.field('comparison_op').text();
  const operator = OPERATORS.find((known) => known === text);
  if (!operator) {
    throw new UnsupportedModel(
      `${node.path}: the operator "${text.slice(0, 20)}" is not supported.`,
    );
  }
  return { ...children, operator, threshold: node.field('threshold').number() };
}
