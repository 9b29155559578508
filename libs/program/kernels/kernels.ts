import { boosters } from './boosters.js';
import { catboostLinks } from './catboost-links.js';
import { categories } from './categories.js';
import { categoryStatistics } from './category-statistics.js';
import { columns } from './columns.js';
import { covariances } from './covariances.js';
import { distances } from './distances.js';
import { distributions } from './distributions.js';
import { ensembles } from './ensembles.js';
import { factors } from './factors.js';
import { imputers } from './imputers.js';
import { featureMaps } from './feature-maps.js';
import { examples } from './examples.js';
import { pictures } from './pictures.js';
import { elements } from './elements.js';
import { encodings } from './encodings.js';
import { hashes } from './hashes.js';
import { lookups } from './lookups.js';
import { numberTexts } from './number-texts.js';
import { patterns } from './patterns.js';
import { coordinates } from './coordinates.js';
import { ragged } from './ragged.js';
import { segments } from './segments.js';
import { strings } from './strings.js';
import type { Kernel } from './kernel.js';
import { likelihoods } from './likelihoods.js';
import { linear } from './linear.js';
import { links } from './links.js';
import { mixtures } from './mixtures.js';
import { neighbours } from './neighbours.js';
import { numbers } from './numbers.js';
import { onnxMl } from './onnx-ml.js';
import { records } from './records.js';
import { shapes } from './shapes.js';
import { splines } from './splines.js';
import { supportVectors } from './support-vectors.js';
import { tables } from './tables.js';
import { texts } from './texts.js';
import { treeliteOutputs } from './treelite-outputs.js';
import { topics } from './topics.js';
import { trees } from './trees.js';

const families: Record<string, Kernel>[] = [
  links,
  linear,
  shapes,
  columns,
  tables,
  numbers,
  categories,
  categoryStatistics,
  ensembles,
  distances,
  distributions,
  texts,
  records,
  imputers,
  supportVectors,
  likelihoods,
  trees,
  boosters,
  onnxMl,
  catboostLinks,
  treeliteOutputs,
  covariances,
  featureMaps,
  mixtures,
  neighbours,
  splines,
  topics,
  factors,
  elements,
  pictures,
  examples,
  encodings,
  hashes,
  lookups,
  numberTexts,
  patterns,
  strings,
  segments,
  ragged,
  coordinates,
];

/**
 * Every kernel by the name that programs use; two families never share one. A name never changes its meaning: a better rule
 * gets a new name.
 */
export const kernels: ReadonlyMap<string, Kernel> = unique(
  families.flatMap((family) => Object.entries(family)),
);

function unique(named: [string, Kernel][]): Map<string, Kernel> {
  const all = new Map(named);
  if (all.size < named.length) throw new Error('Two kernels have the same name');
  return all;
}
