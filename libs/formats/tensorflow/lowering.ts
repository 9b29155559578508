import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { TensorGraph } from '../tensor-graph/tensor-graph.js';
import { TfOp, type OpRule, type TfValue } from './op-rule.js';
import { structuredControl } from './structured-control.js';
import type { TfFunction, TfNode, TfRef } from './tf-graph.js';

/** Functions that call each other deeper than this are hostile. */
const MAX_CALLS = 64;
/** Nodes that may be lowered, those of a function once a call. */
const MOST_NODES = 500_000;

/** What a model has beside its nodes. */
export interface LoweringFacts {
  functions: ReadonlyMap<string, TfFunction>;
  rules: ReadonlyMap<string, OpRule>;
}

/**
 * Says a graph of TensorFlow with operators and kernels, starting from the values that are asked for: what they do not need
 * is never looked at. Calls of functions are laid out in place.
 */
export class Lowering {
  private calls = 0;
  /** Functions that bodies of loops and branches of TensorFlow 1 became. */
  private readonly made = new Map<string, TfFunction>();
  private readonly structured = new WeakMap<
    ReadonlyMap<string, TfNode>,
    ReadonlyMap<string, TfNode>
  >();
  private nodes = 0;

  constructor(private readonly facts: LoweringFacts) {}

  /** A function by name. Throws DamagedModel where the model has none. */
  function(name: string): TfFunction {
    const found = this.made.get(name) ?? this.facts.functions.get(name);
    if (!found)
      throw new DamagedModel(
        `The model calls the function ${JSON.stringify(name)}, which it does not have.`,
      );
    return found;
  }

  /**
   * Lays a function out in `graph`; answers its outputs, or those that are wanted. Inputs that these do not need may lack then.
   */
  call(
    graph: TensorGraph,
    called: TfFunction,
    inputs: (TfValue | undefined)[],
    wanted?: TfRef[],
  ): TfValue[] {
    if (this.calls >= MAX_CALLS)
      throw new DamagedModel(
        `Functions call each other more than ${MAX_CALLS} deep, at last ${JSON.stringify(called.name)}.`,
      );
    const given = new Map<string, TfValue>();
    called.inputs.forEach((name, i) => {
      const value = inputs[i];
      if (value) given.set(name, value);
      else if (!wanted)
        throw new DamagedModel(
          `A call of ${JSON.stringify(called.name)} lacks ${JSON.stringify(name)}.`,
        );
    });
    this.calls++;
    try {
      return this.lower(graph, { nodes: called.nodes, given, wanted: wanted ?? called.outputs });
    } finally {
      this.calls--;
    }
  }

  /**
   * Lowers what the wanted values need. `given` are values that are there already, by the name of their node.
   * Throws UnsupportedModel that names the operation and the node, and DamagedModel where nodes are missing or need themselves.
   */
  lower(
    graph: TensorGraph,
    {
      nodes,
      given,
      wanted,
    }: { nodes: ReadonlyMap<string, TfNode>; given: ReadonlyMap<string, TfValue>; wanted: TfRef[] },
  ): TfValue[] {
    const made = new Map<string, TfValue[]>();
    for (const [name, value] of given) made.set(name, [value]);
    const order = [...inOrder(this.structuredNodes(nodes), made, wanted)];
    const used = new Map<string, Set<number>>();
    for (const { node, output } of [...wanted, ...order.flatMap(({ inputs }) => inputs)]) {
      const outputs = used.get(node) ?? new Set();
      used.set(node, outputs.add(output));
    }
    for (const node of order) {
      if (++this.nodes > MOST_NODES)
        throw new DamagedModel(
          `The model has more than ${MOST_NODES} nodes with those of all calls.`,
        );
      made.set(
        node.name,
        this.lowerNode(
          graph,
          node,
          node.inputs.map((ref) => valueOf(made, ref)),
          used.get(node.name),
        ),
      );
    }
    return wanted.map((ref) => valueOf(made, ref));
  }

  private structuredNodes(nodes: ReadonlyMap<string, TfNode>): ReadonlyMap<string, TfNode> {
    const known = this.structured.get(nodes);
    if (known) return known;
    // No function of a model has such a name: theirs are identifiers.
    const prefix = `${this.made.size} `;
    const made = structuredControl(nodes, prefix, (body) => this.made.set(body.name, body));
    this.structured.set(nodes, made);
    return made;
  }

  private lowerNode(
    graph: TensorGraph,
    node: TfNode,
    inputs: TfValue[],
    used?: ReadonlySet<number>,
  ): TfValue[] {
    const rule = this.facts.rules.get(node.op);
    const op = new TfOp(node, inputs, graph, this, used);
    if (!rule) return op.unsupported('nothing here computes it.');
    try {
      return rule(op);
    } catch (error) {
      if (error instanceof UnsupportedModel || error instanceof DamagedModel) throw error;
      const why = error instanceof Error ? error.message : String(error);
      return op.unsupported(`${why}.`);
    }
  }
}

function valueOf(made: ReadonlyMap<string, TfValue[]>, { node, output }: TfRef): TfValue {
  const value = made.get(node)?.[output];
  if (!value) throw new DamagedModel(`The node ${JSON.stringify(node)} has no output ${output}.`);
  return value;
}

/** The nodes that are needed and not made yet, each behind its inputs; without recursion, since chains may be long. */
function* inOrder(
  nodes: ReadonlyMap<string, TfNode>,
  made: ReadonlyMap<string, unknown>,
  wanted: TfRef[],
): Iterable<TfNode> {
  const done = new Set<string>(made.keys());
  const open = new Set<string>();
  const stack = wanted.map(({ node }) => node).toReversed();
  for (let name = stack.at(-1); name !== undefined; name = stack.at(-1)) {
    if (done.has(name)) {
      stack.pop();
      continue;
    }
    const node = nodes.get(name);
    if (!node) throw new DamagedModel(`The graph has no node ${JSON.stringify(name)}.`);
    const missing = node.inputs.map((ref) => ref.node).filter((input) => !done.has(input));
    if (missing.length === 0) {
      yield node;
      done.add(name);
      open.delete(name);
      continue;
    }
    if (open.has(name) && missing.some((input) => open.has(input)))
      throw new DamagedModel(`The node ${JSON.stringify(name)} needs itself.`);
    open.add(name);
    stack.push(...missing.toReversed());
  }
}
