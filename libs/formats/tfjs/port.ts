import type { Part } from '../document.js';
import { plainRef } from '../saved-model/graph-def.js';
import type { TfRef, TfType } from '../tensorflow/tf-graph.js';
import { readShapeJson, readType } from './graph-json.js';

/** A port of the model: what its signature says, or else its graph. */
export interface TfjsPort {
  name: string;
  ref: TfRef;
  /** Absent where the model has no signature. */
  dtype?: TfType;
  /** Absent: of any rank. */
  shape?: number[] | undefined;
  /** Of a table that is an input of the graph, and is made by the model's initialiser. */
  resource?: number | undefined;
}

/** A TensorInfo of the signature. */
export function readPort([name, info]: [string, Part]): TfjsPort {
  const shape = info.optional('tensorShape');
  const resource = info.optional('resourceId')?.integer(0, Number.MAX_SAFE_INTEGER);
  return {
    name,
    ref: plainRef(info.optional('name')?.text() ?? name),
    dtype: readType(info.field('dtype')),
    shape: shape && readShapeJson(shape),
    ...(resource !== undefined && { resource }),
  };
}
