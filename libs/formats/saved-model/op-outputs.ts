import type { TfAttribute } from '../tensorflow/tf-graph.js';

/** An output of an operation. `count` names the attribute that says how many tensors it is: a number, or a list of their types. */
export interface OutputArgument {
  name: string;
  count?: string;
}

/**
 * Operations that have more outputs than one by name: a model refers to the outputs of nodes in functions by these names, and
 * need not bring the definitions of its operations (TensorFlow 2.0 to 2.3 left out those of operations in functions). From the
 * operations of TensorFlow 2.x; the operations of training are not here.
 */
const OUTPUTS = new Map(
  `
ApproxTopK values indices
Batch batched_tensors:T batch_index id
BlockLSTM i cs f o ci co h
BlockLSTMV2 i cs f o ci co h
BroadcastGradientArgs r0 r1
CSRSparseMatrixComponents row_ptrs col_inds values
CSRSparseMatrixToSparseTensor indices values dense_shape
CTCBeamSearchDecoder decoded_indices:top_paths decoded_values:top_paths decoded_shape:top_paths log_probability
CTCGreedyDecoder decoded_indices decoded_values decoded_shape log_probability
CTCLoss loss gradient
CTCLossV2 loss gradient
CombinedNonMaxSuppression nmsed_boxes nmsed_scores nmsed_classes valid_detections
CudnnRNN output output_h output_c reserve_space
CudnnRNNV2 output output_h output_c reserve_space host_reserved
CudnnRNNV3 output output_h output_c reserve_space host_reserved
DecodeProtoV2 sizes values:output_types
DecodeWav audio sample_rate
DenseCountSparseOutput output_indices output_values output_dense_shape
DenseToDenseSetOperation result_indices result_values result_shape
DenseToSparseSetOperation result_indices result_values result_shape
DeserializeManySparse sparse_indices sparse_values sparse_shape
DeserializeSparse sparse_indices sparse_values sparse_shape
Eig e v
FractionalAvgPool output row_pooling_sequence col_pooling_sequence
FractionalMaxPool output row_pooling_sequence col_pooling_sequence
FusedBatchNorm y batch_mean batch_variance reserve_space_1 reserve_space_2
FusedBatchNormV2 y batch_mean batch_variance reserve_space_1 reserve_space_2
FusedBatchNormV3 y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3
GRUBlockCell r u c h
GenerateBoundingBoxProposals rois roi_probabilities
IsotonicRegression output segments
LSTMBlockCell i cs f o ci co h
ListDiff out idx
LogMatrixDeterminant sign log_abs_determinant
LookupTableExport keys values
LookupTableExportV2 keys values
LoopCond output
Lu lu p
MaxPoolWithArgmax output argmax
Merge output value_index
NearestNeighbors nearest_center_indices nearest_center_distances
NonMaxSuppressionV4 selected_indices valid_outputs
NonMaxSuppressionV5 selected_indices selected_scores valid_outputs
ParseExample sparse_indices:Nsparse sparse_values:sparse_types sparse_shapes:Nsparse dense_values:Tdense
ParseExampleV2 sparse_indices:num_sparse sparse_values:sparse_types sparse_shapes:num_sparse dense_values:Tdense ragged_values:ragged_value_types ragged_row_splits:ragged_split_types
ParseSequenceExample context_sparse_indices:Ncontext_sparse context_sparse_values:context_sparse_types context_sparse_shapes:Ncontext_sparse context_dense_values:Tcontext_dense feature_list_sparse_indices:Nfeature_list_sparse feature_list_sparse_values:feature_list_sparse_types feature_list_sparse_shapes:Nfeature_list_sparse feature_list_dense_values:feature_list_dense_types feature_list_dense_lengths:Nfeature_list_dense
ParseSequenceExampleV2 context_sparse_indices:Ncontext_sparse context_sparse_values:context_sparse_types context_sparse_shapes:Ncontext_sparse context_dense_values:Tcontext_dense context_ragged_values:context_ragged_value_types context_ragged_row_splits:context_ragged_split_types feature_list_sparse_indices:Nfeature_list_sparse feature_list_sparse_values:feature_list_sparse_types feature_list_sparse_shapes:Nfeature_list_sparse feature_list_dense_values:feature_list_dense_types feature_list_dense_lengths:Nfeature_list_dense feature_list_ragged_values:feature_list_ragged_value_types feature_list_ragged_outer_splits:feature_list_ragged_split_types feature_list_ragged_inner_splits:feature_list_ragged_split_types
ParseSingleExample sparse_indices:num_sparse sparse_values:sparse_types sparse_shapes:num_sparse dense_values:Tdense
ParseSingleSequenceExample context_sparse_indices:Ncontext_sparse context_sparse_values:context_sparse_types context_sparse_shapes:Ncontext_sparse context_dense_values:Tcontext_dense feature_list_sparse_indices:Nfeature_list_sparse feature_list_sparse_values:feature_list_sparse_types feature_list_sparse_shapes:Nfeature_list_sparse feature_list_dense_values:feature_list_dense_types
Qr q r
QuantizeDownAndShrinkRange output output_min output_max
QuantizeV2 output output_min output_max
QuantizedAdd z min_z max_z
QuantizedBiasAdd output min_out max_out
QuantizedConv2D output min_output max_output
QuantizedMatMul out min_out max_out
QuantizedMul z min_z max_z
QuantizedRelu activations min_activations max_activations
QuantizedRelu6 activations min_activations max_activations
RaggedCountSparseOutput output_indices output_values output_dense_shape
RaggedCross output_values output_row_splits
RaggedFillEmptyRows output_value_rowids output_values empty_row_indicator reverse_index_map
RaggedGather output_nested_splits:OUTPUT_RAGGED_RANK output_dense_values
RaggedRange rt_nested_splits rt_dense_values
RaggedTensorFromVariant output_nested_splits:output_ragged_rank output_dense_values
RaggedTensorToSparse sparse_indices sparse_values sparse_dense_shape
RequantizationRange output_min output_max
Requantize output output_min output_max
SampleDistortedBoundingBox begin size bboxes
SampleDistortedBoundingBoxV2 begin size bboxes
SelfAdjointEigV2 e v
SoftmaxCrossEntropyWithLogits loss backprop
SparseAdd sum_indices sum_values sum_shape
SparseConcat output_indices output_values output_shape
SparseCountSparseOutput output_indices output_values output_dense_shape
SparseCross output_indices output_values output_shape
SparseCrossHashed output_indices output_values output_shape
SparseCrossV2 output_indices output_values output_shape
SparseFillEmptyRows output_indices output_values empty_row_indicator reverse_index_map
SparseReduceMaxSparse output_indices output_values output_shape
SparseReduceSumSparse output_indices output_values output_shape
SparseReorder output_indices output_values
SparseReshape output_indices output_shape
SparseSlice output_indices output_values output_shape
SparseSoftmaxCrossEntropyWithLogits loss backprop
SparseSparseMaximum output_indices output_values
SparseSparseMinimum output_indices output_values
SparseSplit output_indices:num_split output_values:num_split output_shape:num_split
SparseToSparseSetOperation result_indices result_values result_shape
StatelessRandomGetKeyCounter key counter
StatelessRandomGetKeyCounterAlg key counter alg
StringNGrams ngrams ngrams_splits
StringSplit indices values shape
StringSplitV2 indices values shape
Svd s u v
Switch output_false output_true
TensorArrayConcatV2 value lengths
TensorArrayConcatV3 value lengths
TensorArrayV3 handle flow
TensorListConcat tensor lengths
TensorListConcatV2 tensor lengths
TensorListPopBack output_handle tensor
TopK values indices
TopKUnique topk topk_indices
TopKV2 values indices
TopKWithUnique topk topk_indices
UnicodeDecode row_splits char_values
UnicodeDecodeWithOffsets row_splits char_values char_to_byte_starts
Unique y idx
UniqueV2 y idx
UniqueWithCounts y idx count
UniqueWithCountsV2 y idx count
`
    .trim()
    .split('\n')
    .map((line) => {
      const [op = '', ...outputs] = line.split(' ');
      return [op, outputs.map(argumentOf)] as const;
    }),
);

function argumentOf(text: string): OutputArgument {
  const [name = '', count] = text.split(':');
  return count === undefined ? { name } : { name, count };
}

/**
 * The place of `output:index` among all outputs of a node, lists laid flat; undefined where the operation has no such output.
 * `brought` are the definitions in the model, for operations that are not known here.
 */
export function flatOutput(
  node: { op: string; attributes: ReadonlyMap<string, TfAttribute> },
  output: string,
  index: number,
  brought: ReadonlyMap<string, OutputArgument[]>,
): number | undefined {
  const outputs = OUTPUTS.get(node.op) ?? brought.get(node.op);
  // Operations that are not known by name have one output or one list of them.
  if (!outputs || outputs.length <= 1) return index;
  let before = 0;
  for (const { name, count } of outputs) {
    const length = count === undefined ? 1 : lengthOf(node.attributes.get(count));
    if (name === output) return index < length ? before + index : undefined;
    before += length;
  }
  return undefined;
}

function lengthOf(attribute: TfAttribute | undefined): number {
  if (attribute?.kind === 'list') return attribute.value.length;
  return attribute?.kind === 'integer' ? Number(attribute.value) : 0;
}
