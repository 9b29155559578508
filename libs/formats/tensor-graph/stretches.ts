import { capturedValues } from './tensor-graph.js';
import type { GraphBody, GraphNode, GraphValue, KernelOp, OnnxOp } from './tensor-graph.js';

export type Stretch = KernelOp | HostNode | OnnxStretch;

/** A loop or a branch around what ONNX Runtime cannot run. */
export interface HostNode {
  kind: 'host';
  node: OnnxOp;
}

/** ONNX operators that run together. */
export interface OnnxStretch {
  kind: 'onnx';
  nodes: OnnxOp[];
  /** Values from outside that are no constants. */
  inputs: GraphValue[];
  /** Values that others need. */
  outputs: GraphValue[];
}

function usedBy(node: GraphNode): GraphValue[] {
  const bodies = node.kind === 'onnx' ? Object.values(node.bodies).flatMap(capturedValues) : [];
  return [...node.inputs, ...bodies].filter((value) => value !== undefined);
}

/**
 * The nodes that are needed, in an order in which each finds its inputs ready, ONNX operators together where they can be and where the
 * same groups of outputs need them.
 */
export function stretches(nodes: readonly GraphNode[], groups: GraphValue[][]): Stretch[] {
  for (const node of nodes) if (node.kind === 'onnx') Object.values(node.bodies).forEach(prune);
  const needs = new Map<GraphNode, Set<number>>();
  const maker = new Map(nodes.flatMap((node) => node.outputs.map((value) => [value, node])));
  const wanted = new Set<GraphValue>();
  groups.forEach((outputs, signature) => {
    const open = [...outputs];
    for (const value of open) wanted.add(value);
    for (let value = open.pop(); value; value = open.pop()) {
      const node = maker.get(value);
      const known = node && (needs.get(node) ?? new Set());
      if (!node || !known || known.has(signature)) continue;
      needs.set(node, known.add(signature));
      open.push(...usedBy(node));
    }
  });
  const levels = new Map<GraphNode, number>();
  const found = new Map<string, { level: number; needed: number; stretch: Stretch }>();
  nodes.forEach((node, i) => {
    const signaturesOf = needs.get(node);
    if (!signaturesOf) return;
    // Kernels stand at even levels and ONNX operators at odd ones.
    const alone = isOutside(node);
    let level = alone ? 0 : 1;
    for (const value of usedBy(node)) {
      const from = maker.get(value);
      const before = from ? (levels.get(from) ?? 0) : -1;
      level = Math.max(level, before + (from && isOutside(from) !== alone ? 1 : 0));
    }
    levels.set(node, level);
    const needed = signaturesOf.size;
    if (node.kind === 'kernel') found.set(`kernel ${i}`, { level, needed, stretch: node });
    else if (alone) found.set(`host ${i}`, { level, needed, stretch: { kind: 'host', node } });
    else {
      const key = `${level} ${[...signaturesOf].join()}`;
      const known = found.get(key)?.stretch;
      if (known?.kind === 'onnx') known.nodes.push(node);
      else {
        const stretch = { kind: 'onnx' as const, nodes: [node], inputs: [], outputs: [] };
        found.set(key, { level, needed, stretch });
      }
    }
  });
  // Within a level, what more signatures need never depends on what fewer do; the rest stands in the order of the nodes.
  const ordered = [...found.values()]
    .toSorted((a, b) => a.level - b.level || b.needed - a.needed)
    .map(({ stretch }) => stretch);
  for (const stretch of ordered) if (stretch.kind === 'onnx') setPorts(stretch, ordered, wanted);
  return ordered;
}

function setPorts(stretch: OnnxStretch, all: Stretch[], wanted: ReadonlySet<GraphValue>): void {
  const made = new Set(stretch.nodes.flatMap((node) => node.outputs));
  const inputs = new Set<GraphValue>();
  for (const node of stretch.nodes)
    for (const value of usedBy(node)) if (!made.has(value) && !value.constant) inputs.add(value);
  const outside = new Set(wanted);
  for (const other of all)
    if (other !== stretch)
      for (const node of nodesOf(other)) for (const value of usedBy(node)) outside.add(value);
  stretch.inputs = [...inputs];
  stretch.outputs = [...made].filter((value) => outside.has(value));
}

function nodesOf(stretch: Stretch): GraphNode[] {
  if (stretch.kind === 'kernel') return [stretch];
  return stretch.kind === 'host' ? [stretch.node] : stretch.nodes;
}

/** Takes out what a body does not need. */
function prune(body: GraphBody): void {
  const needed = new Set(body.outputs);
  const kept: GraphNode[] = [];
  for (const node of body.scope.nodes.toReversed()) {
    if (!node.outputs.some((value) => needed.has(value))) continue;
    if (node.kind === 'onnx') Object.values(node.bodies).forEach(prune);
    for (const value of usedBy(node)) needed.add(value);
    kept.push(node);
  }
  body.scope.nodes.splice(0, body.scope.nodes.length, ...kept.reverse());
}

/** Whether ONNX Runtime cannot run a node: a kernel, and a loop or a branch with such inside or with strings. */
function isOutside(node: GraphNode): boolean {
  if (node.kind === 'kernel') return true;
  const known = outside.get(node);
  if (known !== undefined) return known;
  const bodies = Object.values(node.bodies);
  const values = [...node.outputs, ...usedBy(node)];
  const found =
    bodies.length > 0 &&
    (values.some(({ dtype }) => dtype === 'BYTES') ||
      bodies.some(({ scope }) => scope.nodes.some(isOutside)));
  outside.set(node, found);
  return found;
}

const outside = new WeakMap<GraphNode, boolean>();
