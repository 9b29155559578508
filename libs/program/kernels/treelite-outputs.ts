import { floatsOf, onlyInput, tableShape, type Kernel } from './kernel.js';

/** Answers of several targets with several classes each, as GTIL of Treelite 4 makes them. */
export const treeliteOutputs: Record<string, Kernel> = {
  /** Each column divided by its number of the weight `divisors` FP64 `[columns]`, in the dtype of the column. */
  'treelite-means': (given) => {
    const divisors = given.floats('divisors', 1).data;
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      if (columns !== divisors.length) given.fail(`takes ${divisors.length} columns`);
      const data = floatsOf(input.data, 'input of treelite-means').slice();
      for (let i = 0; i < data.length; i++) data[i] = (data[i] ?? 0) / (divisors[i % columns] ?? 1);
      return [{ dtype: input.dtype, shape: input.shape, data }];
    };
  },

  /** Rows of `[rows, groups · columns]` cut into the attribute `groups` rows each: `[rows · groups, columns]`. */
  'treelite-cut-rows': (given) => {
    const groups = given.integer('groups', 1, 100_000);
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      if (columns % groups !== 0) given.fail(`takes ${groups} groups of columns`);
      return [{ ...input, shape: [rows * groups, columns / groups] }];
    };
  },

  /** Numbers as `[rows, groups, columns]`: attributes `groups` and `columns`. */
  'treelite-join-rows': (given) => {
    const groups = given.integer('groups', 1, 100_000);
    const columns = given.integer('columns', 1, 100_000);
    return (inputs) => {
      const input = onlyInput(inputs);
      const rows = input.data.length / (groups * columns);
      if (!Number.isInteger(rows)) given.fail(`takes ${groups} groups of ${columns} columns`);
      return [{ ...input, shape: [rows, groups, columns] }];
    };
  },
};
