import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';

/**
 * Steps of sequences of which a mask says which count, in any order. Packed, those that count stand in front of the others, so
 * that their number says it all.
 */
export class MaskedSteps {
  /** INT32 `[rows]`: how many steps of each row count. */
  readonly counts: GraphValue;
  /** BOOL `[rows, 1]`: whether no step counts. */
  readonly none: GraphValue;
  /** INT64 `[steps, rows]`: the step that stands at each place when they are packed. */
  private readonly order: GraphValue;
  /** INT64 `[steps, rows]`: how many steps count up to and with each. */
  private readonly ranks: GraphValue;
  private readonly packedItems = new Map<GraphValue, GraphValue>();

  /** `items` is the mask: BOOL `[steps, rows, 1]`. */
  constructor(
    private readonly graph: TensorGraph,
    readonly items: GraphValue,
  ) {
    const mask = graph.op('Squeeze', [graph.cast(items, 'INT64'), graph.integers([2])]);
    const first = graph.scalar('INT64', 0);
    this.ranks = graph.op('CumSum', [mask, first]);
    const counts = graph.op('ReduceSum', [mask, graph.integers([0])], { keepdims: 0 });
    this.counts = graph.cast(counts, 'INT32');
    this.none = graph.op('Unsqueeze', [graph.op('Equal', [counts, first]), graph.integers([1])]);
    const steps = graph.op('Gather', [graph.op('Shape', [mask]), graph.integers([0])], { axis: 0 });
    // Keys fall from step to step, and those of steps that count are above all others.
    const places = graph.op('Range', [
      first,
      graph.op('Squeeze', [steps]),
      graph.scalar('INT64', 1),
    ]);
    const down = graph.op('Unsqueeze', [graph.op('Sub', [steps, places]), graph.integers([1])]);
    const keys = graph.op('Add', [graph.op('Mul', [mask, steps]), down]);
    const [, order] = graph.ops('TopK', [keys, steps], { attributes: { axis: 0 } });
    if (!order) throw new Error('TopK has two outputs');
    this.order = order;
  }

  /** `[steps, rows, n]` with the steps that count in front. */
  packed(value: GraphValue): GraphValue {
    const known = this.packedItems.get(value);
    if (known) return known;
    const made = this.taken(value, this.order);
    this.packedItems.set(value, made);
    return made;
  }

  /**
   * What packed steps are at each step: at one that does not count, what the last one before it was that does, and `first`
   * (`[rows, n]`) where there is none.
   */
  filled(steps: GraphValue, first: GraphValue | undefined): GraphValue {
    const { graph } = this;
    const one = graph.scalar('INT64', 1);
    const before = graph.op('Max', [graph.op('Sub', [this.ranks, one]), graph.scalar('INT64', 0)]);
    const rows = this.taken(steps, before);
    if (!first) return rows;
    const none = graph.op('Unsqueeze', [
      graph.op('Equal', [this.ranks, graph.scalar('INT64', 0)]),
      graph.integers([2]),
    ]);
    return graph.op('Where', [none, first, rows], {}, { dtype: rows.dtype, shape: rows.shape });
  }

  private taken(value: GraphValue, places: GraphValue): GraphValue {
    const { graph } = this;
    const wide = graph.op('Expand', [
      graph.op('Unsqueeze', [places, graph.integers([2])]),
      graph.op('Shape', [value]),
    ]);
    return graph.op(
      'GatherElements',
      [value, wide],
      { axis: 0 },
      { dtype: value.dtype, shape: value.shape },
    );
  }
}
