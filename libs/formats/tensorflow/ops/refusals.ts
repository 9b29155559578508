import type { OpRule } from '../op-rule.js';

/** Operations that are refused for good, and why: what a model answers must depend on the request alone. */
const REASONS: Record<string, string> = {
  'it changes a variable, and a served model keeps no state.':
    'Assign AssignAdd AssignSub AssignVariableOp AssignAddVariableOp AssignSubVariableOp ScatterUpdate ScatterAdd ScatterSub ScatterMul ScatterDiv ScatterMin ScatterMax ScatterNdUpdate ScatterNdAdd ScatterNdSub CountUpTo ResourceCountUpTo ResourceScatterUpdate ResourceScatterAdd ResourceScatterSub ResourceScatterMul ResourceScatterDiv ResourceScatterMin ResourceScatterMax ResourceScatterNdUpdate ResourceScatterNdAdd ResourceScatterNdSub ResourceStridedSliceAssign StridedSliceAssign',
  'it changes a table, and a served model keeps no state.':
    'LookupTableInsert LookupTableInsertV2 LookupTableRemoveV2 LookupTableImport LookupTableImportV2 InitializeTable InitializeTableV2 InitializeTableFromTextFile InitializeTableFromTextFileV2',
  'it calls back into Python.': 'PyFunc PyFuncStateless EagerPyFunc',
  'it draws random numbers, so that no two answers are the same.':
    'RandomUniform RandomUniformInt RandomStandardNormal TruncatedNormal RandomShuffle RandomGamma RandomPoisson RandomPoissonV2 ParameterizedTruncatedNormal Multinomial RngReadAndSkip RngSkip StatefulUniform StatefulUniformInt StatefulUniformFullInt StatefulStandardNormal StatefulStandardNormalV2 StatefulTruncatedNormal StatefulRandomBinomial NonDeterministicInts RandomCrop SampleDistortedBoundingBox SampleDistortedBoundingBoxV2',
  'it reads or writes files of the server.':
    'ReadFile WriteFile MatchingFiles SaveV2 Save SaveSlices RestoreV2 Restore RestoreSlice WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 TFRecordReader TFRecordReaderV2 TextLineDataset TFRecordDataset',
  'it loads code.': 'XlaLaunch XlaCallModule TPUPartitionedCall TfLiteSubgraphExecute',
};

const operationsThat = (reason: RegExp): ReadonlySet<string> =>
  new Set(
    Object.entries(REASONS)
      .filter(([why]) => reason.test(why))
      .flatMap(([, names]) => names.split(' ')),
  );
const changing = operationsThat(/changes/);
const outside = operationsThat(/Python|files/);

/** Whether an operation does something that later requests or the server could see. */
export function hasLastingEffect(op: string): boolean {
  return changing.has(op) || outside.has(op) || /^(Resource)?(Sparse)?Apply[A-Z]/.test(op);
}

/** Whether it does so outside of the model. */
export function touchesOutside(op: string): boolean {
  return outside.has(op);
}

/** Refuses by name, with the reason. */
export const refusals: Record<string, OpRule> = Object.fromEntries(
  Object.entries(REASONS).flatMap(([reason, names]) =>
    names.split(' ').map((name): [string, OpRule] => [name, (op) => op.unsupported(reason)]),
  ),
);
