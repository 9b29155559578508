import type { ModelImporter } from '../importer.js';
import { oneFileImporter } from '../one-file-importer.js';
import { compileModel } from './compile-model.js';
import { kindOf, readDocument, type DocumentKind } from './read-document.js';

const MOST_BYTES = 2 ** 30;
/** First bytes that tell what a file is. */
const HEAD_BYTES = 65_536;

/**
 * Reads models that XGBoost saved as JSON or UBJSON (1.0 to 3.4) or in its old binary format (0.x to 2.1), and pickles of its
 * Booster and of its estimators for scikit-learn.
 */
export const xgboostImporter: ModelImporter = oneFileImporter<DocumentKind>({
  format: 'xgboost',
  version: '3',
  name: 'XGBoost',
  none: 'No file is an XGBoost model: none begins as one in JSON, UBJSON or the old binary format does, or is a pickle of one.',
  kindOf: async (file) => kindOf(await file.read(0, HEAD_BYTES)),
  mostBytes: () => MOST_BYTES,
  readsPickles: true,
  compile: (bytes, { kind }, importer) => compileModel(readDocument(bytes, kind), importer),
});
