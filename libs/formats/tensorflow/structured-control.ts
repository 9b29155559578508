import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { TfFunction, TfNode, TfRef } from './tf-graph.js';

/** Steps that looking for the bodies of branches and loops may take: what nests without end is hostile. */
const MOST_STEPS = 5_000_000;
/** Loops may stand in each other this deep. */
const MOST_LOOPS = 32;

const CONTROL = new Set(['Switch', 'Merge', 'Enter', 'Exit', 'NextIteration', 'LoopCond']);

/**
 * Makes the control flow of TensorFlow 1 that of TensorFlow 2: frames of Enter, Merge, Switch, NextIteration and Exit become
 * While, and Switch and Merge become If, with functions for bodies ("Implementation of Control Flow in TensorFlow", 2017).
 * The nodes that others refer to keep their names. Answers the nodes as they are where none of these is among them.
 * `prefix` begins the names of the functions. Throws UnsupportedModel, with the name of the node, for what is no loop or branch as TensorFlow builds them.
 */
export function structuredControl(
  nodes: ReadonlyMap<string, TfNode>,
  prefix: string,
  addFunction: (made: TfFunction) => void,
): ReadonlyMap<string, TfNode> {
  const isPlain = [...nodes.values()].every(({ op }) => !CONTROL.has(plainName(op)));
  if (isPlain) return nodes;
  return new StructuredControl(nodes, prefix, addFunction).nodes();
}

/** Operations on references to variables do the same as those on values. */
function plainName(op: string): string {
  return op.startsWith('Ref') ? op.slice(3) : op;
}

/** A loop of TensorFlow 1. */
interface Frame {
  name: string;
  /** Merge nodes, one a variable, with what goes in at first and what comes back. */
  variables: { merge: string; enter: TfNode; back: TfNode; exits: TfNode[] }[];
  /** Enter nodes of what is the same in each turn. */
  constants: TfNode[];
  condition: TfNode;
}

/** A function in the making: the nodes that outputs need, and what they take from outside. */
interface Cut {
  nodes: Map<string, TfNode>;
  outputs: TfRef[];
}

class StructuredControl {
  private readonly all: Map<string, TfNode>;
  private readonly frames = new Map<string, Frame>();
  private readonly frameOfExit = new Map<string, string>();
  private readonly done = new Set<string>();
  private steps = 0;
  private functions = 0;

  constructor(
    nodes: ReadonlyMap<string, TfNode>,
    private readonly prefix: string,
    private readonly addFunction: (made: TfFunction) => void,
  ) {
    this.all = new Map(nodes);
  }

  nodes(): ReadonlyMap<string, TfNode> {
    this.findFrames();
    for (const name of this.frames.keys()) this.loop(name, 0);
    this.dropFrames();
    this.branches(this.all);
    return this.all;
  }

  private findFrames(): void {
    const enters = new Map<string, TfNode[]>();
    const merges: { merge: TfNode; enter: TfNode; back: TfNode }[] = [];
    const merged = new Set<TfNode>();
    for (const node of this.all.values()) {
      const op = plainName(node.op);
      if (op === 'Enter') {
        const list = enters.get(frameName(node)) ?? [];
        enters.set(frameName(node), list);
        list.push(node);
      }
      if (op !== 'Merge') continue;
      const inputs = node.inputs.map((ref) => this.all.get(ref.node));
      const enter = inputs.find((input) => input && plainName(input.op) === 'Enter');
      const back = inputs.find((input) => input && plainName(input.op) === 'NextIteration');
      if (!enter || !back) continue;
      merges.push({ merge: node, enter, back });
      merged.add(enter);
    }
    const users = this.users();
    for (const [name, own] of enters) {
      const variables = merges.filter(({ enter }) => own.includes(enter));
      const found = variables.map(({ merge, enter, back }) => {
        const switches = (users.get(merge.name) ?? []).filter(
          (user) => plainName(user.op) === 'Switch' && user.inputs[0]?.node === merge.name,
        );
        const exits = switches.flatMap((one) =>
          (users.get(one.name) ?? []).filter(
            (user) => plainName(user.op) === 'Exit' && user.inputs[0]?.output === 0,
          ),
        );
        const conditions = switches.flatMap((one) => this.all.get(one.inputs[1]?.node ?? '') ?? []);
        return { merge: merge.name, enter, back, exits, conditions };
      });
      const [condition, ...others] = new Set(found.flatMap(({ conditions }) => conditions));
      if (plainName(condition?.op ?? '') !== 'LoopCond' || !condition || others.length > 0)
        throw refused(own[0], 'it belongs to no loop as TensorFlow builds them.');
      const constants = own.filter((enter) => !merged.has(enter));
      this.frames.set(name, { name, variables: found, constants, condition });
      for (const { exits } of found)
        for (const exit of exits) this.frameOfExit.set(exit.name, name);
    }
  }

  /** Drops what stands inside of frames: functions have it now. */
  private dropFrames(): void {
    const users = this.users();
    const open = [...this.all.values()].filter(({ op }) => plainName(op) === 'Enter');
    for (let node = open.pop(); node; node = open.pop())
      if (this.all.delete(node.name)) open.push(...(users.get(node.name) ?? []));
  }

  private users(): Map<string, TfNode[]> {
    const users = new Map<string, TfNode[]>();
    for (const node of this.all.values())
      for (const { node: input } of new Set(node.inputs)) {
        const list = users.get(input) ?? [];
        users.set(input, list);
        list.push(node);
      }
    return users;
  }

  /** Puts a While where a frame is, after those inside of it. */
  private loop(name: string, depth: number): void {
    const frame = this.frames.get(name);
    if (!frame || this.done.has(name)) return;
    this.done.add(name);
    if (depth > MOST_LOOPS)
      throw refused(frame.condition, `loops stand more than ${MOST_LOOPS} deep.`);
    const inputs = [
      ...frame.variables.map(({ merge }) => merge),
      ...frame.constants.map((enter) => enter.name),
    ];
    const places = new Map(inputs.map((input) => [input, input]));
    // The body sees a variable behind the Switch that asks whether another turn follows.
    const own = (ref: TfRef): TfRef | undefined => {
      if (places.has(ref.node)) return ref;
      const node = this.all.get(ref.node);
      if (!node || plainName(node.op) !== 'Switch' || node.inputs[1]?.node !== frame.condition.name)
        return undefined;
      const variable = node.inputs[0]?.node ?? '';
      return places.has(variable) && ref.output === 1 ? { node: variable, output: 0 } : undefined;
    };
    const captured = new Set<string>();
    const before = (exit: string) => {
      const inner = this.frameOfExit.get(exit);
      if (inner !== undefined && inner !== name) this.loop(inner, depth + 1);
    };
    const cut = (refs: TfRef[]) => this.cut(refs, { own, captured, before });
    const condition = cut(frame.condition.inputs.slice(0, 1));
    const body = cut(frame.variables.flatMap(({ back }) => back.inputs.slice(0, 1)));
    const outside = [...captured];
    const all = [...inputs, ...outside];
    const kept = all.slice(frame.variables.length).map((node) => ({ node, output: 0 }));
    const loop = this.unused(`${name}/While`);
    this.all.set(loop, {
      name: loop,
      op: 'While',
      inputs: [
        ...frame.variables.flatMap(({ enter }) => enter.inputs.slice(0, 1)),
        ...frame.constants.flatMap((enter) => enter.inputs.slice(0, 1)),
        ...outside.map((node) => ({ node, output: 0 })),
      ],
      attributes: new Map([
        ['cond', { kind: 'function', value: this.made(name, all, condition) }],
        [
          'body',
          {
            kind: 'function',
            value: this.made(name, all, { ...body, outputs: [...body.outputs, ...kept] }),
          },
        ],
      ]),
    });
    frame.variables.forEach(({ exits }, output) => {
      for (const exit of exits) this.all.set(exit.name, passing(exit, { node: loop, output }));
    });
  }

  /**
   * The nodes that refs need, up to those that `own` answers another ref for. What takes no inputs and is no constant stays
   * outside and is captured.
   */
  private cut(
    refs: TfRef[],
    given: {
      own: (ref: TfRef) => TfRef | undefined;
      captured: Set<string>;
      before: (node: string) => void;
      from?: ReadonlyMap<string, TfNode>;
    },
  ): Cut {
    const { own, captured, before, from = this.all } = given;
    const nodes = new Map<string, TfNode>();
    const open: string[] = [];
    const led = (ref: TfRef): TfRef => {
      const other = own(ref);
      if (other) return other;
      before(ref.node);
      const node = from.get(ref.node);
      if (!node || (node.inputs.length === 0 && node.op !== 'Const')) {
        if (ref.output !== 0) throw refused(node, 'it is used in a loop or a branch.');
        captured.add(ref.node);
        return ref;
      }
      if (!nodes.has(ref.node)) {
        nodes.set(ref.node, node);
        open.push(ref.node);
      }
      return ref;
    };
    const outputs = refs.map(led);
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      if (++this.steps > MOST_STEPS) throw new DamagedModel('Branches and loops nest too much.');
      const node = from.get(name);
      if (node) nodes.set(name, { ...node, inputs: node.inputs.map(led) });
    }
    return { nodes, outputs };
  }

  private made(name: string, inputs: string[], { nodes, outputs }: Cut): string {
    const called = `${this.prefix}${this.functions++} ${name}`;
    this.branches(nodes);
    this.addFunction({ name: called, inputs, nodes, outputs, attributes: new Map() });
    return called;
  }

  private unused(name: string): string {
    let free = name;
    while (this.all.has(free)) free += '_';
    return free;
  }

  /** Puts an If where a Merge is, the first ones first. */
  private branches(nodes: Map<string, TfNode>): void {
    for (const merge of mergesInOrder(nodes)) nodes.set(merge.name, this.branch(merge, nodes));
  }

  private branch(merge: TfNode, nodes: ReadonlyMap<string, TfNode>): TfNode {
    if (merge.inputs.length !== 2) throw refused(merge, 'it joins more than two branches.');
    const switches = new Map<string, TfNode>();
    const captured = new Set<string>();
    const sides = merge.inputs.map((input) => {
      const taken = new Set<string>();
      const own = (ref: TfRef): TfRef | undefined => {
        const node = nodes.get(ref.node);
        if (!node || plainName(node.op) !== 'Switch') return undefined;
        switches.set(node.name, node);
        taken.add(`${ref.output} ${refText(source(nodes, node.inputs[1]))}`);
        return { node: ref.node, output: 0 };
      };
      const cut = this.cut([input], { own, captured, before: () => undefined, from: nodes });
      return { cut, taken };
    });
    const side = this.sideOfFirst(
      merge,
      sides.map(({ taken }) => [...taken]),
    );
    const [, condition] = switches.values().next().value?.inputs ?? [];
    if (!condition) throw refused(merge, 'its condition is not known.');
    const data = [...switches.values()].flatMap(({ inputs }) => inputs.slice(0, 1));
    const inputs = [...switches.keys(), ...captured];
    const names = sides.map(({ cut }, place) => {
      const index: TfNode = {
        name: `${merge.name}/index`,
        op: 'Const',
        inputs: [],
        attributes: new Map([
          ['dtype', { kind: 'type', value: 'INT32' }],
          [
            'value',
            { kind: 'tensor', value: { dtype: 'INT32', shape: [], data: Int32Array.of(place) } },
          ],
        ]),
      };
      cut.nodes.set(index.name, index);
      const outputs = [...cut.outputs, { node: index.name, output: 0 }];
      return this.made(merge.name, inputs, { nodes: cut.nodes, outputs });
    });
    const [then = '', other = ''] = side === 1 ? names : names.toReversed();
    return {
      name: merge.name,
      op: 'If',
      inputs: [condition, ...data, ...[...captured].map((node) => ({ node, output: 0 }))],
      attributes: new Map([
        ['then_branch', { kind: 'function', value: then }],
        ['else_branch', { kind: 'function', value: other }],
      ]),
    };
  }

  /** 1 where the first input of a Merge is the side that is taken when the condition holds, else 0. */
  private sideOfFirst(merge: TfNode, taken: string[][]): 0 | 1 {
    const [first = [], second = []] = taken;
    const conditions = new Set([...first, ...second].map((text) => text.slice(2)));
    const sides = [first, second].map((list) => new Set(list.map((text) => text[0])));
    const [one, two] = sides;
    const clear = one !== undefined && two !== undefined && one.size <= 1 && two.size <= 1;
    if (!clear || conditions.size !== 1)
      throw refused(merge, 'its branches do not depend on one condition.');
    const [left] = one;
    const [right] = two;
    if (left === right) throw refused(merge, 'its branches are the same side of a condition.');
    return (left ?? (right === '0' ? '1' : '0')) === '1' ? 1 : 0;
  }
}

function frameName(enter: TfNode): string {
  const name = enter.attributes.get('frame_name');
  return name?.kind === 'bytes' ? new TextDecoder().decode(name.value) : '';
}

function passing({ name }: TfNode, ref: TfRef): TfNode {
  return { name, op: 'Identity', inputs: [ref], attributes: new Map() };
}

/** Where a value comes from that only passes through. */
function source(nodes: ReadonlyMap<string, TfNode>, ref: TfRef | undefined): TfRef | undefined {
  let at = ref;
  for (let steps = 0; at && steps < 1000; steps++) {
    const node = nodes.get(at.node);
    if (node?.op !== 'Identity') return at;
    at = node.inputs[0];
  }
  return at;
}

function refText(ref: TfRef | undefined): string {
  return JSON.stringify([ref?.node, ref?.output]);
}

/** Each behind those that it needs; without recursion, since chains may be long. */
function mergesInOrder(nodes: ReadonlyMap<string, TfNode>): TfNode[] {
  const seen = new Set<string>();
  const found: TfNode[] = [];
  for (const start of nodes.values()) {
    if (plainName(start.op) !== 'Merge') continue;
    const stack = [{ node: start, next: 0 }];
    if (seen.has(start.name)) continue;
    seen.add(start.name);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const ref = top.node.inputs[top.next++];
      if (!ref) {
        if (plainName(top.node.op) === 'Merge') found.push(top.node);
        stack.pop();
        continue;
      }
      const input = nodes.get(ref.node);
      if (!input || seen.has(ref.node)) continue;
      seen.add(ref.node);
      stack.push({ node: input, next: 0 });
    }
  }
  return found;
}

function refused(node: TfNode | undefined, reason: string): UnsupportedModel {
  return new UnsupportedModel(
    `The operation ${node?.op ?? 'Enter'} (node ${JSON.stringify(node?.name.slice(0, 200) ?? '')}) is not supported: ${reason}`,
  );
}
