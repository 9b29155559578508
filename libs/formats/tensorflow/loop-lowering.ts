import { lastSet, placedRows } from './collected-list.js';
import { commonShape, integerOf, type Shape } from '../tensor-graph/known.js';
import { TensorGraph, type GraphValue } from '../tensor-graph/tensor-graph.js';
import {
  aheadOfTurn,
  isInvariant,
  Makers,
  sameSize,
  type LoopForm,
  type LoopState,
} from './loop-form.js';
import { isTensor, type TfOp, type TfValue } from './op-rule.js';
import { recurrentForm } from './recurrence.js';
import { isList, mergedShape, sizeAt, TensorList, zeros } from './tensor-list.js';
import type { TfFunction, TfRef } from './tf-graph.js';
import { truth } from './truth.js';

/** More attempts than shapes have sizes that may turn out to change. */
const MOST_ATTEMPTS = 32;

/** How a variable of a loop goes from turn to turn. */
type Plan =
  /** Nothing needs it. */
  | { kind: 'unused' }
  /** It is the same in each turn. */
  | { kind: 'fixed' }
  | { kind: 'tensor'; initial: GraphValue; shape: Shape | undefined }
  /** A list that turns read and write. `counted`: its length changes. */
  | ListPlan
  /** A list that each turn writes once, at its own place from `start` on, or always at the same `index`. */
  | { kind: 'collected'; initial: TensorList };

interface ListPlan {
  kind: 'list';
  initial: TensorList;
  shape: Shape | undefined;
  counted: boolean;
}

/** What a turn of a loop is under certain plans. */
interface Turn {
  scope: TensorGraph;
  turn: GraphValue;
  condition: GraphValue;
  /** Variables when the turn begins, and what it makes of them. */
  before: (TfValue | undefined)[];
  after: (TfValue | undefined)[];
  /** The condition of the loop, as it is at the beginning of the turn. */
  asked: GraphValue;
  makers: Makers;
}

/**
 * Says While with ONNX's Loop. What a variable is like in every turn is found by trying: the body is lowered on the
 * assumption that shapes stay as they are at first, and again with what turned out to change, until nothing does.
 */
export class LoopLowering {
  private readonly body: TfFunction;
  private readonly condition: TfFunction;
  private readonly graph: TensorGraph;
  private readonly needed: ReadonlySet<number>;

  constructor(private readonly op: TfOp) {
    this.graph = op.graph;
    this.body = op.lowering.function(op.function('body'));
    this.condition = op.lowering.function(op.function('cond'));
    this.needed = this.neededVariables();
  }

  /** All outputs; those that nothing needs are there in name only. */
  outputs(): TfValue[] {
    let plans = this.op.inputs.map((value, i) => this.firstPlan(value, i));
    const never = new Set<number>();
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const turn = this.lowerTurn(plans);
      const next = this.revised(plans, turn, never);
      if (!next) return this.finished(plans, turn);
      plans = next;
    }
    return this.op.unsupported('the shapes of its variables change too much.');
  }

  private firstPlan(value: TfValue, i: number): Plan {
    if (!this.needed.has(i)) return { kind: 'unused' };
    if (isTensor(value)) return { kind: 'tensor', initial: value, shape: value.shape };
    if (!isList(value)) return { kind: 'fixed' };
    value.uses++;
    return { kind: 'list', initial: value, shape: listShape(value), counted: false };
  }

  /** Variables that the outputs need which something needs, and those that these need. */
  private neededVariables(): Set<number> {
    const { body, condition } = this;
    const needed = new Set([...this.op.used, ...argumentsOf(condition, condition.outputs)]);
    // A set grows while it is walked.
    for (const i of needed) {
      const output = body.outputs[i];
      if (output) for (const argument of argumentsOf(body, [output])) needed.add(argument);
    }
    return needed;
  }

  private lowerTurn(plans: Plan[]): Turn {
    const scope = new TensorGraph(this.graph, 'loop');
    const turn = scope.input({ dtype: 'INT64', shape: [] });
    const condition = scope.input({ dtype: 'BOOL', shape: [] });
    const before = plans.map((plan, i) => this.variable(scope, plan, i));
    const wanted: TfRef[] = [];
    const places: number[] = [];
    plans.forEach(({ kind }, i) => {
      const output = this.body.outputs[i];
      if (kind === 'unused' || !output) return;
      places.push(i);
      wanted.push(output);
    });
    const made = this.op.lowering.call(scope, this.body, before, wanted);
    const after = plans.map((_, i) => made[places.indexOf(i)]);
    const asked = this.ask(scope, before);
    return { scope, turn, condition, before, after, asked, makers: new Makers(scope) };
  }

  private variable(scope: TensorGraph, plan: Plan, i: number): TfValue | undefined {
    if (plan.kind === 'unused') return undefined;
    if (plan.kind === 'fixed') return this.op.inputs[i];
    if (plan.kind === 'tensor') return parameter(scope, plan.initial, plan.shape);
    if (plan.kind === 'collected')
      return new TensorList({ ...plan.initial.facts, items: undefined, loose: false });
    const { facts } = plan.initial;
    const items = parameter(scope, facts, plan.shape);
    const count = plan.counted ? sizeAt(scope, items, 0) : facts.count;
    return new TensorList({ ...facts, items, count, loose: isLoose(plan.initial) });
  }

  private ask(scope: TensorGraph, variables: (TfValue | undefined)[]): GraphValue {
    const [answer] = this.op.lowering.call(
      scope,
      this.condition,
      variables,
      this.condition.outputs.slice(0, 1),
    );
    if (!answer || !isTensor(answer)) return this.op.unsupported('its condition is no tensor.');
    return truth(scope, answer);
  }

  /** Plans that hold for this turn; undefined: those that it was made with do. */
  private revised(plans: Plan[], turn: Turn, never: Set<number>): Plan[] | undefined {
    const next = plans.map((plan, i) => this.revisedPlan(plan, i, turn, never));
    const changed = next.some((plan, i) => plan !== plans[i]);
    if (!changed) return undefined;
    // What is fixed now may make known what shapes others have.
    const fixed = next.some((plan, i) => plan.kind === 'fixed' && plans[i]?.kind !== 'fixed');
    return fixed
      ? next.map((plan) => (plan.kind === 'tensor' ? { ...plan, shape: plan.initial.shape } : plan))
      : next;
  }

  private revisedPlan(plan: Plan, i: number, turn: Turn, never: Set<number>): Plan {
    const { before, after } = turn;
    const [one, other] = [before[i], after[i]];
    if (plan.kind === 'unused') return plan;
    if (!one || !other) return this.op.unsupported('its body lacks an output.');
    if (plan.kind === 'fixed') {
      if (one === other || isSame(one, other, turn.makers)) return plan;
      never.add(i);
      const initial = this.op.inputs[i];
      if (initial && isTensor(initial)) return { kind: 'tensor', initial, shape: initial.shape };
      if (!initial || !isList(initial))
        return this.op.unsupported(`its variable ${i} changes, which is no tensor.`);
      return { kind: 'list', initial, shape: listShape(initial), counted: false };
    }
    if (!never.has(i) && isSame(one, other, turn.makers)) return { kind: 'fixed' };
    if (plan.kind === 'tensor') {
      if (!isTensor(other))
        return this.op.unsupported(`its variable ${i} is a tensor at first only.`);
      if (other.dtype !== plan.initial.dtype)
        return this.op.unsupported(`its variable ${i} changes its type.`);
      const shape = commonShape(plan.shape, other.shape);
      return isEqual(shape, plan.shape) ? plan : { ...plan, shape };
    }
    if (!isList(other) || !isList(one))
      return this.op.unsupported(`its variable ${i} is a list at first only.`);
    if (plan.kind === 'collected') return plan;
    if (this.collects(one, other, turn)) return { kind: 'collected', initial: plan.initial };
    const items = other.facts.items;
    const counted = plan.counted || other.count !== one.count;
    const made = items?.shape;
    const shape = isLoose(plan.initial)
      ? (plan.shape ?? made)?.map(() => -1)
      : commonShape(plan.shape, made && counted ? [-1, ...made.slice(1)] : made);
    if (isEqual(shape, plan.shape) && counted === plan.counted) return plan;
    return { ...plan, shape, counted };
  }

  /** Whether a turn does no more with a list than to write one element of it, at a place that no other turn writes, or all. */
  private collects(before: TensorList, after: TensorList, turn: Turn): boolean {
    const { written } = after;
    if (written?.from !== before || before.uses !== 1 || after.uses > 0) return false;
    return (
      this.startOf(written.index, turn) !== undefined || isInvariant(written.index, turn.scope)
    );
  }

  private startOf(index: GraphValue, { makers, turn, before, after }: Turn): number | undefined {
    const ahead = aheadOfTurn(index, { makers, turn, states: this.tensorStates(before, after) });
    return ahead !== undefined && ahead >= 0 ? ahead : undefined;
  }

  private tensorStates(
    before: (TfValue | undefined)[],
    after: (TfValue | undefined)[],
  ): LoopState[] {
    return this.op.inputs.flatMap((initial, i) => {
      const [one, other] = [before[i], after[i]];
      if (!isTensor(initial) || !one || !other || !isTensor(one) || !isTensor(other)) return [];
      return one === initial ? [] : { initial, before: one, after: other };
    });
  }

  /** How often the loop runs, where its condition asks nothing but whether counters are below what does not change. */
  private turns({ asked, scope, turn, makers, before, after }: Turn): GraphValue | undefined {
    const states = this.tensorStates(before, after);
    const limits: GraphValue[] = [];
    const open = [asked];
    for (let value = open.pop(); value; value = open.pop()) {
      if (integerOf(value) === 1) continue;
      const made = makers.of(value);
      const [left, right] = made?.inputs ?? [];
      if (!made || !left || !right) return undefined;
      if (made.operator === 'And') {
        open.push(left, right);
        continue;
      }
      const [counter, limit] = made.operator === 'Less' ? [left, right] : [right, left];
      if (made.operator !== 'Less' && made.operator !== 'Greater') return undefined;
      const ahead = aheadOfTurn(counter, { makers, turn, states });
      if (
        ahead === undefined ||
        limit.shape?.length !== 0 ||
        !isInvariant(limit, scope) ||
        limit.dtype.startsWith('FP')
      )
        return undefined;
      const wide = this.graph.cast(limit, 'INT64');
      const least =
        ahead === 0 ? wide : this.graph.op('Sub', [wide, this.graph.scalar('INT64', ahead)]);
      const all = new Makers(scope);
      if (!limits.some((known) => sameSize(known, least, all))) limits.push(least);
    }
    if (limits.length === 0) return undefined;
    return limits.length === 1 ? limits[0] : this.graph.op('Min', limits);
  }

  /** Writes the loop, or what it can be said with instead; answers all outputs. */
  private finished(plans: Plan[], turn: Turn): TfValue[] {
    const { graph } = this;
    const limit = this.turns(turn);
    const turns = limit && graph.op('Max', [limit, graph.scalar('INT64', 0)]);
    const ends = plans.map((plan, i) => this.end(plan, i, turn));
    const states = ends.flatMap((end) => end.states);
    const scans = ends.flatMap((end) => end.scans);
    const form: LoopForm | undefined = limit &&
      turns && { graph, scope: turn.scope, turn: turn.turn, turns, limit, states, scans };
    const results = (form && recurrentForm(form)) ?? this.loop(turn, { states, scans, turns });
    const made = { turns, limit, makers: new Makers(turn.scope) };
    let [state, scan] = [0, 0];
    return ends.map((end) => {
      const own = {
        states: results.states.slice(state, (state += end.states.length)),
        scans: results.scans.slice(scan, (scan += end.scans.length)),
      };
      return end.value(own, made);
    });
  }

  private loop(
    turn: Turn,
    {
      states,
      scans,
      turns,
    }: { states: LoopState[]; scans: GraphValue[]; turns: GraphValue | undefined },
  ): LoopResults {
    const { graph, op } = this;
    const { scope } = turn;
    const next = turns ? scope.scalar('BOOL', true) : this.ask(scope, turn.after);
    const first = turns ? undefined : this.ask(graph, op.inputs);
    const inputs = [turn.turn, turn.condition, ...states.map(({ before }) => before)];
    const outputs = [next, ...states.map(({ after }) => after), ...scans];
    scope.keepOnly(outputs);
    const known = [
      ...states.map(({ before: { dtype, shape } }) => ({ dtype, shape })),
      ...scans.map(({ dtype, shape }) => ({
        dtype,
        shape: shape && [turns ? (integerOf(turns) ?? -1) : -1, ...shape],
      })),
    ];
    const made = graph.ops('Loop', [turns, first, ...states.map(({ initial }) => initial)], {
      outputs: known,
      bodies: { body: { scope, inputs, outputs } },
    });
    return { states: made.slice(0, states.length), scans: made.slice(states.length) };
  }

  /** What a variable adds to the loop, and what it is afterwards. */
  private end(plan: Plan, i: number, turn: Turn): End {
    const [before, after] = [turn.before[i], turn.after[i]];
    const same = (value: TfValue): End => ({ states: [], scans: [], value: () => value });
    if (plan.kind === 'unused') return same({ resource: 'value that nothing needs' });
    const initial = this.op.inputs[i];
    if (!initial || !before || !after) return this.op.unsupported('its body lacks an output.');
    if (plan.kind === 'fixed') return same(initial);
    if (plan.kind === 'tensor' && isTensor(before) && isTensor(after))
      return {
        states: [{ initial: plan.initial, before, after }],
        scans: [],
        value: ({ states: [state] }) => state ?? before,
      };
    if (plan.kind === 'tensor' || !isList(before) || !isList(after))
      return this.op.unsupported('its lists are no lists.');
    if (plan.kind !== 'list') return this.collectedEnd(plan.initial, after, turn);
    return this.listEnd(plan, before, after, turn);
  }

  private listEnd(plan: ListPlan, before: TensorList, after: TensorList, { scope }: Turn): End {
    const { graph } = this;
    const items = before.facts.items;
    const next = after.facts.items ?? after.stack(scope);
    if (!items || !next || !plan.shape)
      return this.op.unsupported('the shape of the elements of its list is not known.');
    // Where nothing was set yet, it begins with no rows at all.
    const sizes = plan.shape.map((_, axis) => (axis === 0 ? 0 : 1));
    const initial =
      plan.initial.facts.items ??
      zeros(graph, plan.initial.dtype, [graph.scalar('INT64', 0), graph.integers(sizes.slice(1))]);
    return {
      states: [{ initial, before: items, after: next }],
      scans: [],
      value: ({ states: [state = items] }) =>
        new TensorList({
          ...plan.initial.facts,
          items: state,
          count: plan.counted ? sizeAt(graph, state, 0) : plan.initial.count,
          loose: isLoose(plan.initial),
        }),
    };
  }

  private collectedEnd(initial: TensorList, after: TensorList, turn: Turn): End {
    const { graph } = this;
    const { written } = after;
    if (!written) return this.op.unsupported('its lists are no lists.');
    const start = this.startOf(written.index, turn);
    const { index, item: made } = written;
    const known = mergedShape(made.shape, initial.facts.element);
    const item =
      known === made.shape || isEqual(known, made.shape)
        ? made
        : turn.scope.op('Identity', [made], {}, { dtype: made.dtype, shape: known });
    return {
      states: [],
      scans: [item],
      value: ({ scans: [rows = item] }, { limit, makers }) => {
        if (start === undefined) return lastSet(graph, initial, index, rows);
        const whole = start === 0 && limit && sameSize(limit, initial.count, makers);
        const items = whole ? rows : placedRows(graph, initial, start, rows);
        return new TensorList({ ...initial.facts, items, loose: false });
      },
    };
  }
}

interface LoopResults {
  states: GraphValue[];
  scans: GraphValue[];
}

interface End {
  states: LoopState[];
  scans: GraphValue[];
  value(
    made: LoopResults,
    facts: { turns: GraphValue | undefined; limit: GraphValue | undefined; makers: Makers },
  ): TfValue;
}

/** Whether it is not known yet what the elements are like. */
function isLoose({ facts: { items, loose } }: TensorList): boolean {
  return !items || loose === true;
}

/** What is known at first of all elements of a list. */
function listShape(list: TensorList): Shape | undefined {
  const { items, element } = list.facts;
  if (!isLoose(list)) return items?.shape;
  return (items?.shape ?? (element && [-1, ...element]))?.map(() => -1);
}

function parameter(
  scope: TensorGraph,
  { dtype }: Pick<GraphValue, 'dtype'>,
  shape: Shape | undefined,
): GraphValue {
  return scope.input({ dtype, shape: [...(shape ?? [])], ...(!shape && { anyShape: true }) });
}

function isEqual(one: Shape | undefined, other: Shape | undefined): boolean {
  if (!one || !other) return one === other;
  return one.length === other.length && one.every((size, axis) => size === other[axis]);
}

function isSame(one: TfValue, other: TfValue, makers: Makers): boolean {
  if (one === other) return true;
  return isTensor(one) && isTensor(other) && makers.same(other) === one;
}

/** The places of the arguments that outputs of a function need. */
function argumentsOf(called: TfFunction, outputs: TfRef[]): Set<number> {
  const places = new Map(called.inputs.map((name, i) => [name, i]));
  const found = new Set<number>();
  const seen = new Set<string>();
  const open = outputs.map(({ node }) => node);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const place = places.get(name);
    if (place !== undefined) found.add(place);
    else for (const { node } of called.nodes.get(name)?.inputs ?? []) open.push(node);
  }
  return found;
}
