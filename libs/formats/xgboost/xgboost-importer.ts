import type { UploadedFile, Verdict, ModelImporter } from '../importer.js';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import { findPickled } from '../pickle/root-package.js';
import { compilePickled } from '../sklearn/compile-pickled.js';
import { compileModel } from './compile-model.js';
import { kindOf, readDocument, type DocumentKind } from './read-document.js';

const VERSION = '3';
const MOST_BYTES = 2 ** 30;
/** First bytes that tell what a file is. */
const HEAD_BYTES = 65_536;

/**
 * Reads models that XGBoost saved as JSON or UBJSON (1.0 to 3.4) or in its old binary format (0.x to 2.1), and pickles of its
 * Booster and of its estimators for scikit-learn.
 */
export const xgboostImporter: ModelImporter = {
  format: 'xgboost',
  version: VERSION,

  async recognises(files: UploadedFile[]): Promise<boolean> {
    for (const file of files) if (await kindOfFile(file)) return true;
    return (await findPickled(files, 'xgboost')).length > 0;
  },

  async compile(files: UploadedFile[]): Promise<Verdict> {
    const [model, ...others] = await modelsAmong(files);
    if (!model) {
      const pickled = await findPickled(files, 'xgboost');
      if (pickled.length > 0) {
        return compilePickled(pickled, files, {
          importer: `xgboost@${VERSION}`,
          format: 'xgboost',
        });
      }
      throw new DamagedModel(
        'No file is an XGBoost model: none begins as one in JSON, UBJSON or the old binary format does, or is a pickle of one.',
      );
    }
    if (others.length > 0) {
      const paths = [model, ...others].map(({ file }) => file.path);
      throw new UnsupportedModel(
        `Several files are XGBoost models: ${paths.join(', ')}. Log one a version.`,
      );
    }
    return compileModel(await parse(model), `xgboost@${VERSION}`);
  },
};

interface Found {
  file: UploadedFile;
  kind: DocumentKind;
}

async function modelsAmong(files: UploadedFile[]): Promise<Found[]> {
  const found: Found[] = [];
  for (const file of files) {
    const kind = await kindOfFile(file);
    if (kind) found.push({ file, kind });
  }
  return found;
}

async function kindOfFile(file: UploadedFile): Promise<DocumentKind | undefined> {
  return kindOf(await file.read(0, HEAD_BYTES));
}

async function parse({ file, kind }: Found) {
  if (file.size > MOST_BYTES) {
    throw new UnsupportedModel(
      `${file.path} has ${file.size} bytes; models up to ${MOST_BYTES} are supported.`,
    );
  }
  return readDocument(await file.read(), kind);
}
