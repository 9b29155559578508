import { catboostImporter } from './catboost/catboost-importer.js';
import type { ModelImporter } from './importer.js';
import { kerasImporter } from './keras/keras-importer.js';
import { lightgbmImporter } from './lightgbm/lightgbm-importer.js';
import { onnxImporter } from './onnx/onnx-importer.js';
import { savedModelImporter } from './saved-model/saved-model-importer.js';
import { sklearnImporter } from './sklearn/sklearn-importer.js';
import { tfjsImporter } from './tfjs/tfjs-importer.js';
import { treeliteImporter } from './treelite/treelite-importer.js';
import { xgboostImporter } from './xgboost/xgboost-importer.js';
import { ydfImporter } from './ydf/ydf-importer.js';

/** Every format there is, the most specific first: where several recognise the files, the first compiles them. */
export const importers: readonly ModelImporter[] = [
  xgboostImporter,
  lightgbmImporter,
  catboostImporter,
  treeliteImporter,
  savedModelImporter,
  ydfImporter,
  onnxImporter,
  kerasImporter,
  tfjsImporter,
  sklearnImporter,
];

/** `format@version` of the importers that may compile a version: those of its format, or all where it names none. */
export function importerOf(format: string | null): string[] {
  return importers
    .filter((importer) => format === null || importer.format === format)
    .map((importer) => `${importer.format}@${importer.version}`);
}
