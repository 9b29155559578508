import type { OpRule } from '../op-rule.js';
import { arithmetic } from './arithmetic.js';
import { blocks } from './blocks.js';
import { convolutions } from './convolutions.js';
import { normalisations } from './normalisations.js';
import { paddings } from './paddings.js';
import { poolings } from './poolings.js';
import { gathers } from './gathers.js';
import { scatters } from './scatters.js';
import { einsums } from './einsum.js';
import { matrices } from './matrices.js';
import { quantisation } from './quantisation.js';
import { complexNumbers, withComplex } from './complex.js';
import { images } from './images.js';
import { calls } from './calls.js';
import { cells } from './cells.js';
import { comparisons } from './comparisons.js';
import { constants } from './constants.js';
import { control } from './control.js';
import { fills } from './fills.js';
import { functions } from './functions.js';
import { fusedOps } from './fused.js';
import { linearAlgebra } from './linear-algebra.js';
import { lists } from './lists.js';
import { reductions } from './reductions.js';
import { refusals } from './refusals.js';
import { shapes } from './shapes.js';
import { slices } from './slices.js';
import { variables } from './variables.js';
import { examples } from './examples.js';
import { decoding } from './decoding.js';
import { ragged } from './ragged.js';
import { sparse } from './sparse.js';
import { strings } from './strings.js';
import { tables } from './tables.js';

const families: Record<string, OpRule>[] = [
  calls,
  constants,
  cells,
  control,
  lists,
  fills,
  arithmetic,
  functions,
  fusedOps,
  comparisons,
  shapes,
  slices,
  reductions,
  linearAlgebra,
  variables,
  refusals,
  convolutions,
  poolings,
  normalisations,
  paddings,
  blocks,
  gathers,
  scatters,
  einsums,
  matrices,
  quantisation,
  images,
  complexNumbers,
  strings,
  ragged,
  sparse,
  decoding,
  examples,
  tables,
];

/** How each operation of TensorFlow is said, by its name. What is not here is refused by name. */
export const opRules: ReadonlyMap<string, OpRule> = new Map(
  families.flatMap((rules) => Object.entries(withComplex(rules))),
);
