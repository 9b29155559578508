import { DamagedModel } from '../importer.js';
import type { TfAttribute, TfFunction, TfNode, TfRef } from '../tensorflow/tf-graph.js';

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
interface Place {
  scope: Scope;
  ref: TfRef;
}

/** A node that a trace came by. */
export interface Visited {
  scope: Scope;
  node: TfNode;
}

/** A graph with its functions. */
export interface Traceable {
  nodes: ReadonlyMap<string, TfNode>;
  functions: ReadonlyMap<string, TfFunction>;
}

/**
 * Follows what a node of the model needs or makes happen, through the nodes before it and into functions, without running
 * anything: how variables are restored, how tables are filled, and what an answer depends on.
 */
export class TracedGraph {
  private visited = 0;

  constructor(private readonly graph: Traceable) {}

  /** Every node that runs when `name` runs, of functions all. A name that the model does not have gives none. */
  *runsBefore(name: string): Iterable<Visited> {
    yield* this.visit(this.root(), [name]);
  }

  /**
   * Every node that these outputs need, those of a function once a call; with `controls` also those that only have to have run.
   * `given` are nodes that need nothing.
   */
  *needed(
    outputs: TfRef[],
    { controls, given }: { controls: boolean; given: ReadonlyMap<string, unknown> },
  ): Iterable<Visited> {
    const root = this.root();
    const seen = new Map<Scope, Set<string>>();
    const inner = new Map<Scope, Map<string, Scope[]>>();
    const stack: Place[] = outputs.map((ref) => ({ scope: root, ref }));
    for (let place = stack.pop(); place; place = stack.pop()) {
      const { scope, ref } = place;
      const argument = scope.arguments.get(ref.node);
      if (argument) stack.push(argument);
      const node = scope.nodes.get(ref.node);
      if (argument || !node || (scope === root && given.has(ref.node))) continue;
      const calls = callsOf(node);
      const known = seen.get(scope) ?? new Set();
      seen.set(scope, known);
      // Of a call, each output needs something else.
      const key = calls?.exact ? `${ref.node}:${ref.output}` : ref.node;
      if (known.has(key)) continue;
      known.add(key);
      if (!known.has(`${ref.node} `)) yield this.visit1(scope, node, known);
      if (controls)
        stack.push(...(node.controls ?? []).map((name) => ({ scope, ref: refTo(name) })));
      if (!calls) {
        stack.push(...node.inputs.map((input) => ({ scope, ref: input })));
        continue;
      }
      stack.push(...node.inputs.slice(0, calls.before).map((input) => ({ scope, ref: input })));
      const scopes = inner.get(scope) ?? new Map<string, Scope[]>();
      inner.set(scope, scopes);
      const functions = calls.names.flatMap((name) => this.graph.functions.get(name) ?? []);
      const bodies =
        scopes.get(ref.node) ?? functions.map((f) => this.enter(scope, node, f, calls));
      scopes.set(ref.node, bodies);
      functions.forEach((called, i) => {
        const body = bodies[i];
        if (!body) return;
        const [only] = called.outputs.slice(ref.output);
        const wanted = calls.exact ? (only ? [only] : []) : called.outputs;
        stack.push(...wanted.map((output) => ({ scope: body, ref: output })));
        if (controls)
          stack.push(...(called.controls ?? []).map((name) => ({ scope: body, ref: refTo(name) })));
      });
    }
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

  private root(): Scope {
    return { nodes: this.graph.nodes, arguments: new Map(), depth: 0 };
  }

  private *visit(scope: Scope, names: Iterable<string>): Iterable<Visited> {
    const seen = new Set<string>();
    const stack = [...names];
    for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
      const node = scope.nodes.get(name);
      if (!node || seen.has(name)) continue;
      seen.add(name);
      this.count();
      yield { scope, node };
      const calls = node.op.endsWith('PartitionedCall') ? callsOf(node) : undefined;
      for (const called of calls?.names ?? []) {
        const found = this.graph.functions.get(called);
        if (calls && found)
          yield* this.visit(this.enter(scope, node, found, calls), found.nodes.keys());
      }
      stack.push(...node.inputs.map((ref) => ref.node), ...(node.controls ?? []));
    }
  }

  private visit1(scope: Scope, node: TfNode, known: Set<string>): Visited {
    // No name of a node ends with a space.
    known.add(`${node.name} `);
    this.count();
    return { scope, node };
  }

  private enter(scope: Scope, node: TfNode, called: TfFunction, { before }: Calls): Scope {
    if (scope.depth >= MOST_CALLS)
      throw new DamagedModel(
        `Functions call each other more than ${MOST_CALLS} deep, at last ${JSON.stringify(called.name)}.`,
      );
    const places = called.inputs.map((name, i): [string, Place] => [
      name,
      { scope, ref: node.inputs[before + i] ?? refTo('') },
    ]);
    return { nodes: called.nodes, arguments: new Map(places), depth: scope.depth + 1 };
  }

  private count(): void {
    if (++this.visited > MOST_NODES)
      throw new DamagedModel(
        `The model has more than ${MOST_NODES} nodes with those of all calls.`,
      );
  }
}

function refTo(node: string): TfRef {
  return { node, output: 0 };
}

/** Functions that a node calls. */
interface Calls {
  names: string[];
  /** Inputs that are no arguments of them. */
  before: number;
  /** Each output of the node is that output of the function, and no more. */
  exact: boolean;
}

function callsOf(node: TfNode): Calls | undefined {
  const names = (...attributes: string[]) =>
    attributes.flatMap((name) => functionsIn(node.attributes.get(name)));
  switch (node.op) {
    case 'PartitionedCall':
    case 'StatefulPartitionedCall':
      return { names: names('f'), before: 0, exact: true };
    case 'If':
    case 'StatelessIf':
      return { names: names('then_branch', 'else_branch'), before: 1, exact: true };
    case 'Case':
    case 'StatelessCase':
      return { names: names('branches'), before: 1, exact: true };
    case 'While':
    case 'StatelessWhile':
      return { names: names('cond', 'body'), before: 0, exact: false };
    default:
      return undefined;
  }
}

function functionsIn(attribute: TfAttribute | undefined): string[] {
  if (attribute?.kind === 'function') return [attribute.value];
  return attribute?.kind === 'list' ? attribute.value.flatMap(functionsIn) : [];
}
