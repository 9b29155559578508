import { integerOf } from '../tensor-graph/known.js';
import type { GraphValue } from '../tensor-graph/tensor-graph.js';
import { LinearForms, partOf, type Term } from './linear-form.js';
import {
  aheadOfTurn,
  isInvariant,
  isRowsOf,
  Makers,
  type LoopForm,
  type LoopState,
} from './loop-form.js';
import { MaskedSteps } from './masked-steps.js';
import { isOf, joined, part, summed, type Gate } from './recurrent-weights.js';
import { asList, ends, zero } from './tensor-list.js';

/**
 * Says a loop with ONNX's LSTM, GRU and RNN, where it is one: each state must be one of theirs by the equations of its turn,
 * up to the order of sums, and each turn must take its own row of the input, all rows in their order. Steps that a mask leaves
 * out keep the states; they are put behind the others and left out by their number. Undefined: it is no such loop.
 */
export function recurrentForm(
  form: LoopForm,
): { states: GraphValue[]; scans: GraphValue[] } | undefined {
  return new Recurrence(form).results();
}

/** What a cell makes: the output of each step, and the last state. */
interface Cell {
  /** `[steps, rows, units]`; where there is a mask, in the order of the steps that count. */
  steps: GraphValue;
  last: GraphValue;
}

/** A state with its mask taken off. */
interface Bare extends LoopState {
  made: GraphValue;
}

/** The names of functions that ONNX knows under the same ones. */
const FUNCTIONS = ['Tanh', 'Sigmoid', 'Relu'] as const;

class Recurrence {
  private readonly makers: Makers;
  private readonly linear: LinearForms;
  private readonly cells = new Map<GraphValue, Cell>();
  private readonly lasts = new Map<GraphValue, GraphValue>();
  private readonly sequences = new Map<GraphValue, GraphValue>();
  private states: Bare[] = [];
  private masked: MaskedSteps | undefined;

  constructor(private readonly form: LoopForm) {
    this.makers = new Makers(form.scope);
    this.linear = new LinearForms(form.scope, this.makers);
  }

  results(): { states: GraphValue[]; scans: GraphValue[] } | undefined {
    const { form } = this;
    const counters = new Map<LoopState, GraphValue>();
    for (const state of form.states) {
      const end = this.counterEnd(state);
      if (end) counters.set(state, end);
    }
    const others = form.states.filter((state) => !counters.has(state));
    if (others.length === 0 || !others.every((state) => isFloatMatrix(state.initial)))
      return undefined;
    if (!this.takeMasksOff(others)) return undefined;
    while (this.states.some((state) => this.findCell(state)));
    const states = form.states.map((state) => counters.get(state) ?? this.end(state));
    const scans = form.scans.map((item) => this.collected(item));
    if (states.includes(undefined) || scans.includes(undefined)) return undefined;
    return { states: states.flatMap((end) => end ?? []), scans: scans.flatMap((all) => all ?? []) };
  }

  /** What a counter is in the end; undefined: it is none. */
  private counterEnd({ before, initial }: LoopState): GraphValue | undefined {
    const { graph, turn, turns, states } = this.form;
    const first = aheadOfTurn(before, { makers: this.makers, turn, states });
    if (first === undefined) return undefined;
    const end = graph.op('Add', [turns, graph.scalar('INT64', first)]);
    return graph.cast(end, initial.dtype);
  }

  /** All states have the same mask, or none. */
  private takeMasksOff(states: LoopState[]): boolean {
    const bare = states.map((state) => ({ state, mask: this.maskedBy(state.after) }));
    const [first] = bare;
    const items = first?.mask?.items;
    if (
      bare.some(({ state, mask }) => mask?.items !== items || (mask && mask.old !== state.before))
    )
      return false;
    if (items) this.masked = new MaskedSteps(this.form.graph, items);
    this.states = bare.map(({ state, mask }) => ({
      ...state,
      made: mask?.made ?? this.makers.same(state.after),
    }));
    return true;
  }

  /** `Where(mask, made, old)`, where the mask has one element a row: a row of `items` `[steps, rows, 1]` for each turn. */
  private maskedBy(
    value: GraphValue,
  ): { items: GraphValue; made: GraphValue; old: GraphValue } | undefined {
    const made = this.makers.of(value);
    const [mask, chosen, old] = made?.inputs ?? [];
    if (made?.operator !== 'Where' || !mask || !chosen || !old) return undefined;
    const items = this.maskItems(mask);
    return items && { items, made: chosen, old };
  }

  private maskItems(mask: GraphValue): GraphValue | undefined {
    const made = this.makers.of(mask);
    const [input, sizes] = made?.inputs ?? [];
    if (!made || !input) return undefined;
    const isColumn = input.shape?.length === 2 && input.shape[1] === 1;
    const spreads =
      (made.operator === 'Tile' && sizes?.sizes?.length === 2 && sizes.sizes[0] === 1) ||
      (made.operator === 'Expand' && mask.shape?.length === 2);
    if (isColumn && spreads) return this.maskItems(input);
    const items = this.rowsOf(mask);
    return items?.dtype === 'BOOL' && items.shape?.[2] === 1 ? items : undefined;
  }

  /** The tensor of three dimensions whose row number `turn` a value is, of which it takes as many as it runs. */
  private rowsOf(value: GraphValue): GraphValue | undefined {
    const { scope, turn, states, limit } = this.form;
    const made = this.makers.of(value);
    const [items, place] = made?.inputs ?? [];
    if (made?.operator !== 'Gather' || made.integer('axis', 0) !== 0 || !items || !place)
      return undefined;
    if (items.shape?.length !== 3 || !isInvariant(items, scope)) return undefined;
    if (
      place.shape?.length !== 0 ||
      aheadOfTurn(place, { makers: this.makers, turn, states }) !== 0
    )
      return undefined;
    const known = this.sequences.get(items);
    if (known) return known;
    const taken = isRowsOf(limit, items, this.makers) ? items : this.firstRows(items);
    this.sequences.set(items, taken);
    return taken;
  }

  /** As many rows as the loop runs; fails where there are fewer, as the loop would. */
  private firstRows(items: GraphValue): GraphValue {
    const { graph, turns } = this.form;
    const rows = graph.op('Slice', [
      items,
      graph.integers([0]),
      asList(graph, turns),
      graph.integers([0]),
    ]);
    const sizes = graph.op('Slice', [graph.op('Shape', [items]), ...ends(graph, 1, 3)]);
    const target = graph.op('Concat', [asList(graph, turns), sizes], { axis: 0 });
    const known = { dtype: items.dtype, shape: items.shape && [-1, ...items.shape.slice(1)] };
    return graph.op('Reshape', [rows, target], { allowzero: 1 }, known);
  }

  /** The input of each step, where a value is one of these or the output of a cell. */
  private sequenceOf(value: GraphValue): GraphValue | undefined {
    const cell = this.cells.get(value);
    if (cell) return cell.steps;
    const items = this.rowsOf(value);
    if (!items || items.dtype !== 'FP32' || (items.shape?.[2] ?? -1) < 0) return undefined;
    return this.masked ? this.masked.packed(items) : items;
  }

  private findCell(state: Bare): boolean {
    if (this.cells.has(state.made)) return false;
    return this.findLstm(state) || this.findGru(state) || this.findSimple(state);
  }

  /** h' = o · tanh(c'), c' = f · c + i · tanh(g). */
  private findLstm(state: Bare): boolean {
    for (const [open, output] of this.factors(state.made)) {
      const outputs = FUNCTIONS.find((name) => this.makers.of(output)?.operator === name);
      const carried = outputs && this.makers.of(output)?.inputs[0];
      const cell = this.states.find(({ made }) => made === carried);
      if (!outputs || !cell || cell === state) continue;
      const gates = this.lstmGates(cell);
      const o = this.linear.activated(open, 'Sigmoid');
      if (!gates || !o) continue;
      const terms = [gates.i, o, gates.f, gates.g].map((gate) => this.sorted(gate, state.before));
      const made = this.cell('LSTM', terms, [state, cell], ['Sigmoid', gates.function, outputs]);
      if (made) return true;
    }
    return false;
  }

  private lstmGates(cell: Bare) {
    for (const [kept, added] of this.addends(cell.made))
      for (const [forget, old] of this.factors(kept)) {
        const f = this.linear.activated(forget, 'Sigmoid');
        if (old !== cell.before || !f) continue;
        for (const [input, candidate] of this.factors(added))
          for (const name of FUNCTIONS) {
            const i = this.linear.activated(input, 'Sigmoid');
            const g = this.linear.activated(candidate, name);
            if (i && g) return { i, f, g, function: name };
          }
      }
    return undefined;
  }

  /** h' = z · h + (1 − z) · tanh(…), the reset gate before or after the product with the state. */
  private findGru(state: Bare): boolean {
    for (const [kept, added] of this.addends(state.made))
      for (const [update, old] of this.factors(kept))
        for (const [rest, candidate] of this.factors(added)) {
          const z = this.linear.activated(update, 'Sigmoid');
          if (old !== state.before || !z || !this.isRestOf(rest, update)) continue;
          for (const name of FUNCTIONS) {
            const made = this.makers.of(candidate);
            const [inner] = made?.operator === name ? made.inputs : [];
            if (
              inner &&
              (this.resetBefore(state, z, inner, name) || this.resetAfter(state, z, inner, name))
            )
              return true;
          }
        }
    return false;
  }

  private resetAfter(state: Bare, z: Term[], inner: GraphValue, name: string): boolean {
    for (const [left, right] of this.addends(inner))
      for (const [reset, product] of this.factors(right)) {
        const r = this.linear.activated(reset, 'Sigmoid');
        const input = this.linear.of(left);
        const recurrent = this.linear.of(product);
        if (!r || !input || !recurrent) continue;
        const own = this.sorted(input, state.before);
        const back = this.sorted(recurrent, state.before);
        if (!own?.input || own.recurrent || back?.input || !back?.recurrent) continue;
        const h = { ...own, recurrent: back.recurrent, recurrentBias: back.bias };
        const gates = [this.sorted(z, state.before), this.sorted(r, state.before), h];
        if (this.cell('GRU', gates, [state], ['Sigmoid', name], 1)) return true;
      }
    return false;
  }

  private resetBefore(state: Bare, z: Term[], inner: GraphValue, name: string): boolean {
    const terms = this.linear.of(inner);
    for (const { operand } of terms ?? [])
      for (const [reset, old] of operand ? this.factors(operand) : []) {
        const r = this.linear.activated(reset, 'Sigmoid');
        if (old !== state.before || !r || !operand || !terms) continue;
        const gates = [
          this.sorted(z, state.before),
          this.sorted(r, state.before),
          this.sorted(terms, operand),
        ];
        if (this.cell('GRU', gates, [state], ['Sigmoid', name], 0)) return true;
      }
    return false;
  }

  /** h' = tanh(…). */
  private findSimple(state: Bare): boolean {
    return FUNCTIONS.some((name) => {
      const terms = this.linear.activated(state.made, name);
      const gates = terms && [this.sorted(terms, state.before)];
      return gates !== undefined && this.cell('RNN', gates, [state], [name]);
    });
  }

  private isRestOf(rest: GraphValue, update: GraphValue): boolean {
    const made = this.makers.of(rest);
    const [one, other] = made?.inputs ?? [];
    const constant = one?.constant;
    const isOne =
      constant && !Array.isArray(constant) && Array.from(constant, Number).every((n) => n === 1);
    return (
      made?.operator === 'Sub' &&
      isOne === true &&
      other !== undefined &&
      this.isSamePart(other, update)
    );
  }

  private isSamePart(one: GraphValue, other: GraphValue): boolean {
    if (one === other) return true;
    const [left, right] = [one, other].map((value) => {
      const made = this.makers.of(value);
      return made && partOf(made, value);
    });
    return (
      left !== undefined && left.whole === right?.whole && left.columns[0] === right.columns[0]
    );
  }

  private pairs(value: GraphValue, operator: string): [GraphValue, GraphValue][] {
    const made = this.makers.of(value);
    const [left, right] = made?.inputs ?? [];
    if (made?.operator !== operator || !left || !right) return [];
    return [
      [left, right],
      [right, left],
    ];
  }

  private factors(value: GraphValue): [GraphValue, GraphValue][] {
    return this.pairs(value, 'Mul');
  }

  private addends(value: GraphValue): [GraphValue, GraphValue][] {
    return this.pairs(value, 'Add');
  }

  /** The terms of a gate by what they multiply: the input of the step, or the state. */
  private sorted(terms: Term[], state: GraphValue): Gate | undefined {
    const gate: Gate = { bias: [], recurrentBias: [] };
    for (const term of terms) {
      if (!term.operand) gate.bias.push(term);
      else if (term.operand === state && !gate.recurrent) gate.recurrent = term;
      else if (!gate.input && this.sequenceOf(term.operand)) gate.input = term;
      else return undefined;
    }
    return gate;
  }

  /** Adds the operator where its gates are complete; says whether they are. */
  private cell(
    operator: 'LSTM' | 'GRU' | 'RNN',
    gates: (Gate | undefined)[],
    states: Bare[],
    activations: string[],
    linearBeforeReset?: number,
  ): boolean {
    const { graph } = this.form;
    const [state] = states;
    const units = state?.initial.shape?.[1] ?? -1;
    const source = gates[0]?.input?.operand;
    const steps = source && this.sequenceOf(source);
    if (!state || !steps || units < 1) return false;
    const complete = gates.flatMap((gate) =>
      gate?.input?.operand === source && gate?.recurrent
        ? { ...gate, input: gate.input, recurrent: gate.recurrent }
        : [],
    );
    if (complete.length < gates.length) return false;
    const fits = states.every(
      ({ initial }) => initial.shape?.[0] === steps.shape?.[1] && initial.shape?.[1] === units,
    );
    if (!fits || !complete.every((gate) => isOf(gate, units, steps.shape?.[2] ?? -1))) return false;
    const weights = (terms: Term[]) =>
      graph.op('Unsqueeze', [
        joined(
          graph,
          terms.map((term) => graph.transpose(part(graph, term), [1, 0])),
        ),
        graph.integers([0]),
      ]);
    const bias = joined(graph, [
      ...complete.map((gate) => summed(graph, gate.bias, units)),
      ...complete.map((gate) => summed(graph, gate.recurrentBias, units)),
    ]);
    const made = graph.ops(
      operator,
      [
        steps,
        weights(complete.map(({ input }) => input)),
        weights(complete.map(({ recurrent }) => recurrent)),
        graph.op('Unsqueeze', [bias, graph.integers([0])]),
        this.masked?.counts,
        ...states.map(({ initial }) => graph.op('Unsqueeze', [initial, graph.integers([0])])),
      ],
      {
        attributes: {
          hidden_size: units,
          ...(activations.join() !== DEFAULTS[operator] && { activations }),
          ...(linearBeforeReset && { linear_before_reset: linearBeforeReset }),
        },
      },
    );
    const [all, ...lasts] = made;
    if (!all) return false;
    const drop = (value: GraphValue, axis: number) =>
      graph.op('Squeeze', [value, graph.integers([axis])]);
    states.forEach((own, i) => {
      const last = lasts[i];
      if (last) this.lasts.set(own.before, this.kept(own, drop(last, 0)));
    });
    const last = this.lasts.get(state.before);
    if (last) this.cells.set(state.made, { steps: drop(all, 1), last });
    return true;
  }

  /** The last state, which is the first one where no step counts: ONNX Runtime answers zeros there. */
  private kept({ initial }: LoopState, last: GraphValue): GraphValue {
    const { graph, turns } = this.form;
    if (this.isZero(initial)) return last;
    const none = this.masked
      ? this.masked.none
      : graph.op('Equal', [turns, graph.scalar('INT64', 0)]);
    return integerOf(none) === 0 ? last : graph.op('Where', [none, initial, last]);
  }

  private isZero(value: GraphValue): boolean {
    const { constant } = value;
    if (constant && !Array.isArray(constant))
      return Array.from(constant, Number).every((n) => Object.is(n, 0));
    const made = this.makers.of(value);
    return (
      made?.operator === 'Expand' && made.inputs[0] !== undefined && this.isZero(made.inputs[0])
    );
  }

  private end(state: LoopState): GraphValue | undefined {
    const known = this.lasts.get(state.before);
    if (known) return known;
    // A state that no cell has is what a cell gave last, where a mask lets outputs stand.
    const own = this.states.find(({ before }) => before === state.before);
    const cell = own && this.cells.get(own.made);
    if (!own || !cell) return undefined;
    const { graph } = this.form;
    const rows = this.masked ? this.masked.filled(cell.steps, own.initial) : cell.steps;
    if (integerOf(this.form.turns) === 0) return own.initial;
    const places = graph.integers([0]);
    const joinedRows = graph.op('Concat', [graph.op('Unsqueeze', [own.initial, places]), rows], {
      axis: 0,
    });
    return graph.op('Gather', [joinedRows, graph.scalar('INT64', -1)], { axis: 0 });
  }

  /** What all turns add together. */
  private collected(item: GraphValue): GraphValue | undefined {
    const same = this.makers.same(item);
    const plain = this.cells.get(same);
    if (plain) return this.masked ? undefined : plain.steps;
    const masked = this.masked && this.maskedBy(same);
    const cell = masked && this.cells.get(masked.made);
    if (!cell || !this.masked || masked.items !== this.masked.items) return undefined;
    const { graph } = this.form;
    if (this.isZero(masked.old) || this.isZeroInside(masked.old))
      return graph.op('Where', [
        masked.items,
        this.masked.filled(cell.steps, undefined),
        zero(graph, 'FP32'),
      ]);
    const old = this.states.find(
      ({ before, made }) => before === masked.old && made === masked.made,
    );
    return old && this.masked.filled(cell.steps, old.initial);
  }

  /** Zeros of the shape of something in the loop. */
  private isZeroInside(value: GraphValue): boolean {
    const made = this.makers.of(value);
    const [input] = made?.inputs ?? [];
    return made?.operator === 'Expand' && input !== undefined && this.isZero(input);
  }
}

/** What ONNX takes where nothing is said. */
const DEFAULTS = { LSTM: 'Sigmoid,Tanh,Tanh', GRU: 'Sigmoid,Tanh', RNN: 'Tanh' };

function isFloatMatrix({ dtype, shape }: GraphValue): boolean {
  return dtype === 'FP32' && shape?.length === 2 && (shape[1] ?? -1) > 0;
}
