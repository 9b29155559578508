import { dataOf, elementCount, type DType, type TensorData } from '#program';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { TfGraph, TfNode, TfTensor, TfType } from '../tensorflow/tf-graph.js';
import { isTensorType, nameOfType } from '../tensorflow/tf-types.js';
import type { TfjsWeight } from './weights.js';

/** The graph with the weights of its constants in their places; they have the names of the nodes, also in functions. */
export function withWeights(graph: TfGraph, weights: ReadonlyMap<string, TfjsWeight>): TfGraph {
  return {
    nodes: weighted(graph.nodes, weights),
    functions: new Map(
      [...graph.functions].map(([name, made]) => [
        name,
        { ...made, nodes: weighted(made.nodes, weights) },
      ]),
    ),
  };
}

function weighted(
  nodes: ReadonlyMap<string, TfNode>,
  weights: ReadonlyMap<string, TfjsWeight>,
): Map<string, TfNode> {
  return new Map(
    [...nodes].map(([name, node]) => {
      if (node.op !== 'Const') return [name, node];
      const type = node.attributes.get('dtype');
      const value = new WeightTensor(
        name,
        type?.kind === 'type' ? type.value : undefined,
        weights.get(name),
      );
      const attributes = new Map(node.attributes).set('value', { kind: 'tensor', value });
      return [name, { ...node, attributes }];
    }),
  );
}

/** The value of a constant. What is wrong with it is said when it is asked for: most that no output needs is not whole. */
class WeightTensor implements TfTensor {
  constructor(
    private readonly name: string,
    private readonly type: TfType | undefined,
    private readonly weight: TfjsWeight | undefined,
  ) {}

  get dtype(): TfType {
    return this.type ?? this.found.dtype;
  }

  get shape(): number[] {
    return this.found.shape;
  }

  /**
   * TF.js has no integers of 64 bits and no float64, so that such constants are among the weights as int32 and float32: they are
   * taken for what the graph says that they are.
   */
  get data(): TensorData {
    const { dtype, found } = this;
    const { data } = found;
    if (dtype === found.dtype) return data;
    const widens = WIDENED[found.dtype]?.includes(dtype);
    if (!widens || !isTensorType(dtype) || Array.isArray(data))
      throw new UnsupportedModel(
        `The constant ${JSON.stringify(this.name.slice(0, 200))} is ${nameOfType(dtype)} in the graph and ${nameOfType(found.dtype)} among the weights.`,
      );
    return dataOf(dtype, data);
  }

  private get found(): TfjsWeight {
    const { weight, name } = this;
    if (weight?.data.length !== undefined && weight.data.length === elementCount(weight.shape))
      return weight;
    throw new DamagedModel(`The weights lack the constant ${JSON.stringify(name.slice(0, 200))}.`);
  }
}

const WIDENED: Partial<Record<DType, readonly TfType[]>> = {
  INT32: ['INT64', 'INT16', 'INT8', 'UINT8', 'UINT16', 'UINT32', 'UINT64'],
  FP32: ['FP64'],
};
