import type { Binding, TensorSpec } from '#program';
import { canNameInputs, madeUpNames } from '../column-names.js';
import { DamagedModel, type Verdict } from '../importer.js';
import { PyObject, type PyValue } from '../pickle/records.js';
import { ProgramBuilder } from '../program-builder.js';
import type { Answer, Estimator } from './estimator.js';
import { Fitted, ReadingBudget } from './fitted.js';
import { SklearnGraph } from './graph.js';
import type { Table } from './table.js';

/** The oldest release, and the newest that answers were compared with. */
const OLDEST = [0, 22] as const;
const NEWEST = [1, 9] as const;

/** As many columns as a program may have. */
const MOST_COLUMNS = 100_000;
/** Elements that may be read beside those that the file has bytes for. */
const FREE_CELLS = 1_000_000;

/** What a program says of who made it. */
export interface CompiledBy {
  /** `sklearn@1` */
  importer: string;
  /** The library of the outermost object. */
  format: string;
}

/** Compiles the object that a file holds; `size` is that of the file. Throws UnsupportedModel and DamagedModel. */
export function compileModel(root: PyValue, size: number, by: CompiledBy): Verdict {
  if (!(root instanceof PyObject)) {
    throw new DamagedModel('The file holds no object of a class.');
  }
  const fitted = new Fitted(root, 'model', new ReadingBudget(size + FREE_CELLS));
  checkRelease(fitted);
  const builder = new ProgramBuilder();
  const graph = new SklearnGraph(builder);
  const estimator = graph.compile(fitted);
  const { names, named } = columnsOf(estimator, fitted);
  const defaults = addOutputs(builder, graph, { estimator, fitted }, graph.request(names));
  if (defaults === undefined) return fitted.unsupported('has nothing that could be served');
  const { inputs, binding } = inputsOf(graph, names, named, estimator);
  const { program, weights } = builder.finish({
    ...by,
    inputs,
    binding,
    defaultOutputs: defaults,
  });
  return { state: 'servable', program, weights };
}

function checkRelease(fitted: Fitted): void {
  const [major, minor] = fitted.sklearn;
  // Other libraries say in their own models which release wrote them.
  if (!fitted.module.startsWith('sklearn.')) return;
  if (major === 0 && minor === 0) {
    fitted.unsupported('does not say which release of scikit-learn fitted it');
  }
  const tooNew = major > NEWEST[0] || (major === NEWEST[0] && minor > NEWEST[1]);
  if (tooNew || !fitted.since(...OLDEST)) {
    fitted.unsupported(
      `was fitted by a release that is not proven here: those from ${OLDEST.join('.')} to ${NEWEST.join('.')} are`,
    );
  }
}

function columnsOf(
  { readsTexts, names, features }: Estimator,
  fitted: Fitted,
): { names: string[]; named: boolean } {
  if (readsTexts) return { names: ['X'], named: false };
  if (names && canNameInputs(names)) return { names, named: true };
  const count = names?.length ?? features;
  if (count === undefined) {
    return fitted.unsupported('does not say how many columns it takes');
  }
  if (!Number.isInteger(count) || count < 1 || count > MOST_COLUMNS) {
    return fitted.unsupported(`takes ${count} columns; from 1 to ${MOST_COLUMNS} are supported`);
  }
  return { names: madeUpNames(count), named: false };
}

/** Adds all outputs that there are, and answers which of them a request gets that names none. */
function addOutputs(
  builder: ProgramBuilder,
  graph: SklearnGraph,
  { estimator, fitted }: { estimator: Estimator; fitted: Fitted },
  request: Table,
): string[] | undefined {
  const names: string[] = [];
  const add = (name: string, { value, dtype, shape }: Answer) => {
    names.push(name);
    // Answers of float32 are float64 inside the graph, which loses nothing.
    const single = estimator.single === true && dtype === 'FP64' && name.startsWith('predict');
    const answer = single
      ? graph.kernel('cast', [value], { attributes: { dtype: 'FP32' } })
      : value;
    builder.output({ name, dtype: single ? 'FP32' : dtype, shape }, answer);
  };
  if (estimator.predict) add('predict', estimator.predict(request));
  if (estimator.predictProba) {
    const width = estimator.probabilities ?? estimator.classes?.values.length ?? -1;
    add('predict_proba', {
      value: estimator.predictProba(request),
      dtype: 'FP64',
      shape: [-1, width],
    });
  }
  for (const [i, answer] of (estimator.predictProbas?.(request) ?? []).entries()) {
    add(`predict_proba.${i}`, answer);
  }
  if (estimator.decisionFunction) add('decision_function', estimator.decisionFunction(request));
  if (estimator.scoreSamples) add('score_samples', estimator.scoreSamples(request));
  if (estimator.transformAnswer) add('transform', estimator.transformAnswer(request));
  else if (estimator.transform)
    add('transform', matrixAnswer(graph, estimator.transform(request), fitted));
  for (const [name, answer] of Object.entries(estimator.also?.(request) ?? {})) add(name, answer);
  const [first] = names;
  if (first === undefined) return undefined;
  if (names.includes('predict')) return ['predict'];
  return names.includes('transform') ? ['transform'] : [first];
}

/** What `transform` answers: one matrix of numbers, or a column of texts. */
function matrixAnswer(graph: SklearnGraph, table: Table, fitted: Fitted): Answer {
  const [block] = table.blocks;
  if (block?.kind === 'texts' && table.blocks.length === 1) {
    return { value: block.value, dtype: 'BYTES', shape: [-1] };
  }
  const value = graph.kernel('as-matrix', [graph.unchecked(table, fitted)]);
  return { value, dtype: 'FP64', shape: [-1, table.width] };
}

function inputsOf(
  graph: SklearnGraph,
  names: string[],
  named: boolean,
  { readsTexts }: Estimator,
): { inputs: TensorSpec[]; binding: Binding } {
  // Columns that nothing reads: of an array of numbers they are numbers, else anything will do.
  const types = graph.finish(named || graph.hasTexts ? undefined : 'numbers');
  const columns = names.length;
  if (types.every((type) => type === 'numbers')) {
    const matrix = { dtype: 'FP64', columns } as const;
    const inputs: TensorSpec[] = named
      ? names.map((name) => ({ name, dtype: 'FP64', shape: [-1] }))
      : [{ name: 'X', dtype: 'FP64', shape: [-1, columns] }];
    return { inputs, binding: { kind: 'table', matrix } };
  }
  const inputs = names.map((name, i): TensorSpec => {
    const type = types[i];
    return {
      name,
      dtype: type === 'numbers' ? 'FP64' : 'BYTES',
      shape: [-1],
      ...(type === undefined && !readsTexts && { optional: true }),
    };
  });
  const ignored = names.filter((_, i) => types[i] === undefined);
  const rules = {
    ...(ignored.length > 0 && { ignored }),
    ...(graph.integersAsTexts && { integersAsTexts: true }),
  };
  return { inputs, binding: { kind: 'table', ...rules } };
}
