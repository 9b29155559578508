import { UnsupportedModel } from '../importer.js';
import { hasLastingEffect, touchesOutside } from '../tensorflow/ops/refusals.js';
import type { TfNode, TfRef } from '../tensorflow/tf-graph.js';
import { TracedGraph, type Traceable, type Visited } from './traced-graph.js';

/** What a signature answers, and the nodes that the request stands for. */
export interface Asked {
  outputs: TfRef[];
  given: ReadonlyMap<string, unknown>;
}

/** The nodes outside of functions that an answer depends on: variables and tables among them. */
export function dependencies(graph: Traceable, { outputs, given }: Asked): Set<TfNode> {
  const found = new Set<TfNode>();
  for (const { scope, node } of new TracedGraph(graph).needed(outputs, { controls: false, given }))
    if (scope.depth === 0) found.add(node);
  return found;
}

/**
 * Refuses what outlasts the request, among all that TensorFlow runs for these outputs, whether they need it or not. Changes of a
 * variable or table that no answer of the model depends on (`read` are those that some do) are none: generators of random numbers
 * of Keras 3 count what they never drew.
 */
export function refuseEffects(
  graph: Traceable,
  { outputs, given }: Asked,
  read: ReadonlySet<TfNode>,
): void {
  const traced = new TracedGraph(graph);
  for (const visited of traced.needed(outputs, { controls: true, given })) {
    const { op, name } = visited.node;
    if (!hasLastingEffect(op) || isUnseen(traced, visited, read)) continue;
    throw new UnsupportedModel(
      `The operation ${op} (node ${JSON.stringify(name.slice(0, 200))}) is not supported: a served model keeps no state and touches nothing outside of it.`,
    );
  }
}

function isUnseen(traced: TracedGraph, visited: Visited, read: ReadonlySet<TfNode>): boolean {
  if (touchesOutside(visited.node.op)) return false;
  const changed = traced.source(visited, 0);
  return changed !== undefined && changed.scope.depth === 0 && !read.has(changed.node);
}
