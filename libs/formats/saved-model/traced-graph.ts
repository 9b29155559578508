import { DamagedModel } from '../importer.js';
import type { TfGraph, TfNode, TfRef } from '../tensorflow/tf-graph.js';

/** Nodes that a trace may visit, those of a function once a call. */
const MOST_NODES = 500_000;
const MOST_CALLS = 64;

/** The nodes of the model or of one call of a function, with what stands for the arguments. */
interface Scope {
  nodes: ReadonlyMap<string, TfNode>;
  arguments: ReadonlyMap<string, Place>;
  depth: number;
}

/** An output of a node in a scope. */
export interface Place {
  scope: Scope;
  ref: TfRef;
}

/** A node that a trace came by. */
export interface Visited {
  scope: Scope;
  node: TfNode;
}

/**
 * Follows what a node of the model makes happen, through the nodes that must run before it and into functions, without running
 * anything: how variables are restored and tables are filled.
 */
export class TracedGraph {
  private visited = 0;

  constructor(private readonly graph: TfGraph) {}

  /** Every node that runs when `name` runs. A name that the model does not have gives none. */
  *runsBefore(name: string): Iterable<Visited> {
    const root: Scope = { nodes: this.graph.nodes, arguments: new Map(), depth: 0 };
    yield* this.visit(root, [name]);
  }

  private *visit(scope: Scope, names: Iterable<string>): Iterable<Visited> {
    const seen = new Set<string>();
    const stack = [...names];
    for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
      if (seen.has(name)) continue;
      seen.add(name);
      const node = scope.nodes.get(name);
      if (!node) continue;
      if (++this.visited > MOST_NODES)
        throw new DamagedModel(
          `The model has more than ${MOST_NODES} nodes with those of all calls.`,
        );
      yield { scope, node };
      yield* this.called(scope, node);
      stack.push(...node.inputs.map((ref) => ref.node), ...(node.controls ?? []));
    }
  }

  private *called(scope: Scope, node: TfNode): Iterable<Visited> {
    if (!node.op.endsWith('PartitionedCall')) return;
    const attribute = node.attributes.get('f');
    const called =
      attribute?.kind === 'function' ? this.graph.functions.get(attribute.value) : undefined;
    if (!called) return;
    if (scope.depth >= MOST_CALLS)
      throw new DamagedModel(
        `Functions call each other more than ${MOST_CALLS} deep, at last ${JSON.stringify(called.name)}.`,
      );
    const places = called.inputs.map((name, i): [string, Place] => [
      name,
      { scope, ref: node.inputs[i] ?? { node: '', output: 0 } },
    ]);
    const inner: Scope = {
      nodes: called.nodes,
      arguments: new Map(places),
      depth: scope.depth + 1,
    };
    yield* this.visit(inner, called.nodes.keys());
  }

  /** The node that makes an input of a visited one, through arguments of functions and nodes that pass values on. */
  source({ scope, node }: Visited, input: number): (Visited & { output: number }) | undefined {
    let place: Place | undefined = node.inputs[input] && { scope, ref: node.inputs[input] };
    for (let steps = 0; place && steps < MOST_NODES; steps++) {
      const given: Place | undefined = place.scope.arguments.get(place.ref.node);
      if (given) {
        place = given;
        continue;
      }
      const found: TfNode | undefined = place.scope.nodes.get(place.ref.node);
      if (!found) return undefined;
      const [passed] = found.inputs;
      if (found.op !== 'Identity' || !passed)
        return { scope: place.scope, node: found, output: place.ref.output };
      place = { scope: place.scope, ref: passed };
    }
    return undefined;
  }
}
