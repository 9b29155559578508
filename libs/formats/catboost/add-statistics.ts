import { DamagedModel } from '../importer.js';
import type { NodeBuilder } from '../program-builder.js';
import type { CatboostModel, CtrBase, CtrFeature, CtrTable, FloatFeature } from './model.js';

/** Kernels of the statistics. */
export interface Statistics {
  /** Values with some columns each. */
  tables: string[];
  /** The column of each feature, among those of all tables. */
  places: Map<CtrFeature, number>;
}

/** Adds a kernel for all features that are computed of one table of statistics. */
export function addStatistics(
  builder: NodeBuilder,
  { ctrs, tables, floats }: CatboostModel,
  hashOf: (category: number) => string,
  numberOf: (float: FloatFeature) => string,
): Statistics {
  const known = new Map(tables.map((table) => [keyOf(table), table]));
  const groups = new Map<string, CtrFeature[]>();
  for (const ctr of ctrs) groups.set(keyOf(ctr), [...(groups.get(keyOf(ctr)) ?? []), ctr]);
  const places = new Map<CtrFeature, number>();
  const values = [...groups].map(([key, group]) => {
    for (const ctr of group) places.set(ctr, places.size);
    const table = known.get(key);
    if (!table) throw new DamagedModel(`The model has no table of statistics for ${key}.`);
    const { projection } = table;
    const asked = projection.floats.map(({ feature, border }) => {
      const float = floats.find(({ index }) => index === feature);
      if (!float || Number.isNaN(border)) {
        throw new DamagedModel(`A combination has no float feature ${feature}, or no border.`);
      }
      return { float, border };
    });
    const inputs = [
      ...projection.categories.map(hashOf),
      ...asked.map(({ float }) => numberOf(float)),
      ...projection.oneHots.map(({ feature }) => hashOf(feature)),
    ];
    if (inputs.length === 0) throw new DamagedModel('A combination of no features is none.');
    const { weights } = builder;
    return builder.kernel('target-statistics', inputs, {
      attributes: {
        hashed: projection.categories.length,
        kind: kindOf(table),
        denominator: table.denominator,
      },
      weights: {
        borders: weights.add(
          'FP32',
          Float32Array.from(asked, ({ border }) => border),
        ),
        missingGreatest: weights.add(
          'UINT8',
          Uint8Array.from(asked, ({ float }) => (float.missingIsGreatest ? 1 : 0)),
        ),
        equal: weights.add(
          'INT32',
          Int32Array.from(projection.oneHots, ({ value }) => value),
        ),
        ...tableWeights(builder, table),
        ...groupWeights(builder, group, table),
      },
    });
  });
  return { tables: values, places };
}

function keyOf({ type, projection, classifier }: CtrBase): string {
  const { categories, floats, oneHots } = projection;
  return JSON.stringify([type, classifier, categories, floats, oneHots]);
}

function kindOf({ type }: CtrTable): string {
  switch (type) {
    case 'Borders':
      return 'borders';
    case 'Buckets':
      return 'buckets';
    case 'BinarizedTargetMeanValue':
    case 'FloatTargetMeanValue':
      return 'mean';
    case 'Counter':
    case 'FeatureFreq':
      return 'counter';
  }
}

function tableWeights({ weights }: NodeBuilder, { hashes, numbers, width }: CtrTable) {
  const count = hashes.low.length;
  const halves = new Uint32Array(2 * count);
  for (let i = 0; i < count; i++) {
    halves[2 * i] = hashes.low[i] ?? 0;
    halves[2 * i + 1] = hashes.high[i] ?? 0;
  }
  return {
    hashes: weights.add('UINT32', halves, [count, 2]),
    numbers: weights.add('FP64', numbers, [count, width]),
  };
}

function groupWeights({ weights }: NodeBuilder, group: CtrFeature[], table: CtrTable) {
  const parameters = group.flatMap((ctr) => [
    ctr.priorNumerator,
    ctr.priorDenominator,
    ctr.shift,
    ctr.scale,
  ]);
  const { width } = table;
  const targets = group.map(({ targetBorder }) => {
    const kind = kindOf(table);
    const least = { borders: 2, buckets: targetBorder + 1, mean: 2, counter: 1 }[kind] ?? 0;
    const right = kind === 'mean' || kind === 'counter' ? width === least : width >= least;
    if (!right || targetBorder < 0) {
      throw new DamagedModel(
        `A table of ${table.type} has ${width} numbers a combination, for target ${targetBorder}.`,
      );
    }
    // Between two classes there is one border, whatever the feature says.
    return kind === 'borders' && width === 2 ? 0 : targetBorder;
  });
  if (parameters.some((number) => !Number.isFinite(number))) {
    throw new DamagedModel('A prior, shift or scale of a statistic is not a finite number.');
  }
  return {
    parameters: weights.add('FP32', Float32Array.from(parameters), [group.length, 4]),
    targets: weights.add('INT32', Int32Array.from(targets)),
  };
}
