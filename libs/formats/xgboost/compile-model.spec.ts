import { describe, expect, it } from '@jest/globals';
import { bindInputs, bindOutputs, loadProgram, type Tensor } from '#program';
import { Part } from '../document.js';
import { UnsupportedModel } from '../importer.js';
import { compileModel } from './compile-model.js';

interface Given {
  version: [number, number, number];
  objective?: string;
  base?: string;
  columns?: number;
  /** The leaves of a stump `x < 0`, a pair a tree; the trees add to the columns by turns. */
  leaves: [number, number][];
  booster?: 'gbtree' | 'dart';
  model?: object;
  tree?: object;
}

/** A document as XGBoost writes it, with what matters to answers. */
function documentOf(given: Given): Part {
  const { version, objective = 'reg:squarederror', base = '0', columns = 1, leaves } = given;
  const trees = leaves.map(([left, right], id) => ({
    id,
    left_children: [1, -1, -1],
    right_children: [2, -1, -1],
    split_indices: [0, 0, 0],
    split_conditions: [0, left, right],
    default_left: [1, 0, 0],
    ...given.tree,
  }));
  const model = { trees, tree_info: leaves.map((_, i) => i % columns), ...given.model };
  const weightDrop = leaves.map(() => 0.5);
  const booster =
    given.booster === 'dart'
      ? { name: 'dart', gbtree: { name: 'gbtree', model }, weight_drop: weightDrop }
      : { name: 'gbtree', model };
  const parameters = {
    base_score: base,
    num_class: '0',
    num_target: String(columns),
    num_feature: '1',
  };
  const learner = {
    gradient_booster: booster,
    learner_model_param: parameters,
    objective: { name: objective },
  };
  return new Part({ version, learner }, 'model');
}

async function predict(given: Given, x: number): Promise<number[]> {
  const verdict = compileModel(documentOf(given), 'xgboost@test');
  if (verdict.state !== 'servable') throw new Error(verdict.reason);
  const runtime = await loadProgram(JSON.parse(JSON.stringify(verdict.program)), verdict.weights);
  const rows: Tensor = { name: 'X', dtype: 'FP32', shape: [1, 1], data: Float32Array.of(x) };
  const [answer] = await runtime.run(
    bindInputs(runtime, [rows], { maxRows: 1 }),
    bindOutputs(runtime),
  );
  return Array.from(answer?.data ?? [], Number);
}

const { fround } = Math;

describe('what versions of XGBoost do differently', () => {
  it('adds the base score last before 1.3, first since', async () => {
    const given = {
      base: '16777216',
      leaves: [
        [1, 0],
        [1, 0],
      ] as [number, number][],
    };
    expect(await predict({ ...given, version: [1, 2, 0] }, -1)).toEqual([16777218]);
    expect(await predict({ ...given, version: [1, 3, 0] }, -1)).toEqual([16777216]);
  });

  it('takes the base score of raw margins for a probability before 1.3', async () => {
    const given = {
      objective: 'binary:logitraw',
      base: '0.25',
      leaves: [[0, 0]] as [number, number][],
    };
    expect(await predict({ ...given, version: [1, 2, 1] }, 1)).toEqual([-fround(Math.log(3))]);
    expect(await predict({ ...given, version: [1, 3, 3] }, 1)).toEqual([0.25]);
  });

  it('orders quantiles since 3.4', async () => {
    const leaves: [number, number][] = [
      [3, 0],
      [1, 0],
      [2, 0],
    ];
    const given = { objective: 'reg:quantileerror', columns: 3, leaves };
    expect(await predict({ ...given, version: [3, 3, 0] }, -1)).toEqual([3, 1, 2]);
    expect(await predict({ ...given, version: [3, 4, 0] }, -1)).toEqual([1, 2, 3]);
  });

  it('weighs trees that were trained with dropout, wherever the weights are', async () => {
    const leaves: [number, number][] = [
      [1, 0],
      [2, 0],
    ];
    expect(await predict({ version: [3, 2, 0], booster: 'dart', leaves }, -1)).toEqual([1.5]);
    // Since 3.3 such a model is a gbtree; trees beyond the list weigh 1.
    const model = { weight_drop: [0.25] };
    expect(await predict({ version: [3, 3, 0], leaves, model }, -1)).toEqual([2.25]);
  });

  it('keeps a sigmoid from overflowing since 1.6', async () => {
    const given = {
      objective: 'binary:logistic',
      base: '0.5',
      leaves: [[-100, 0]] as [number, number][],
    };
    expect(await predict({ ...given, version: [1, 5, 0] }, -1)).toEqual([0]);
    const [least = 0] = await predict({ ...given, version: [1, 6, 0] }, -1);
    expect(least).toBeGreaterThan(0);
    expect(least).toBeLessThan(1e-38);
  });
});

describe('what is not supported is refused by name', () => {
  const leaves: [number, number][] = [[1, 0]];
  const refused = (given: Given) => () => compileModel(documentOf(given), 'xgboost@test');

  it.each<[Given, RegExp]>([
    [{ version: [3, 5, 0], leaves }, /XGBoost 3\.5 wrote the model; up to 3\.4/],
    [
      { version: [3, 4, 0], objective: 'reg:expectileerror', leaves },
      /objective "reg:expectileerror"/,
    ],
    [
      { version: [3, 2, 0], leaves, model: { cats: { enc: [{ type: 13, values: [3, 4] }] } } },
      /Categories that are numbers/,
    ],
    [
      {
        version: [3, 2, 0],
        leaves,
        model: { cats: { enc: [{ offsets: [0, 2], values: [-61, -87] }] } },
      },
      /not ASCII/,
    ],
  ])('%#', (given, message) => {
    expect(refused(given)).toThrow(UnsupportedModel);
    expect(refused(given)).toThrow(message);
  });

  it('and sets of categories that would fill the memory', () => {
    const tree = {
      split_type: [1, 0, 0],
      categories: [2 ** 24 - 1],
      categories_nodes: [0],
      categories_segments: [0],
      categories_sizes: [1],
    };
    const many = Array.from({ length: 100 }, (): [number, number] => [1, 0]);
    expect(refused({ version: [3, 2, 0], leaves: many, tree })).toThrow(
      /sets of categories need more/,
    );
  });
});
