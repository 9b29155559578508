import { hasLastingEffect } from '../tensorflow/ops/refusals.js';
import type { TfAttribute, TfFunction, TfNode, TfRef } from '../tensorflow/tf-graph.js';

/**
 * A node with an effect that outlasts the request, among those that run for these outputs: TensorFlow runs it also where no output
 * needs what it answers. `given` are the nodes that the request stands for.
 */
export function lastingEffect(
  {
    nodes,
    functions,
  }: { nodes: ReadonlyMap<string, TfNode>; functions: ReadonlyMap<string, TfFunction> },
  outputs: TfRef[],
  given: ReadonlyMap<string, unknown>,
): TfNode | undefined {
  const seen = new Set<TfFunction>();
  const open: { nodes: ReadonlyMap<string, TfNode>; stack: string[] }[] = [
    { nodes, stack: outputs.map(({ node }) => node) },
  ];
  for (let scope = open.pop(); scope; scope = open.pop()) {
    const visited = new Set<string>(scope.nodes === nodes ? given.keys() : []);
    const { stack } = scope;
    for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
      const node = scope.nodes.get(name);
      if (!node || visited.has(name)) continue;
      visited.add(name);
      if (hasLastingEffect(node.op)) return node;
      stack.push(...node.inputs.map((ref) => ref.node), ...(node.controls ?? []));
      for (const called of calledFunctions(node, functions)) {
        if (seen.has(called)) continue;
        seen.add(called);
        const runs = [...called.outputs.map((ref) => ref.node), ...(called.controls ?? [])];
        open.push({ nodes: called.nodes, stack: runs });
      }
    }
  }
  return undefined;
}

function calledFunctions(
  { attributes }: TfNode,
  functions: ReadonlyMap<string, TfFunction>,
): TfFunction[] {
  const names = (attribute: TfAttribute): string[] => {
    if (attribute.kind === 'function') return [attribute.value];
    return attribute.kind === 'list' ? attribute.value.flatMap(names) : [];
  };
  return [...attributes.values()]
    .flatMap(names)
    .map((name) => functions.get(name))
    .filter((found) => found !== undefined);
}
