import { Part } from '../document.js';
import type { ModelImporter, UploadedFile } from '../importer.js';
import { parseModelJson } from '../model-json.js';
import { oneFileImporter } from '../one-file-importer.js';
import { compileModel } from './compile-model.js';
import { MAGIC, readCbm } from './read-cbm.js';
import { readJson } from './read-json.js';

/** A text cannot be longer in JavaScript. */
const MOST_JSON_BYTES = 2 ** 29 - 25;
const MOST_CBM_BYTES = 2 ** 31 - 1;
/** Of nesting in JSON: trees grown by loss may be deep. */
const MOST_DEPTH = 20_000;
const HEAD_BYTES = 4096;
/** Members of a model in JSON; CatBoost writes them in order of their names since 0.20, in any order before. */
const MEMBERS = 'ctr_data|features_info|model_info|oblivious_trees|scale_and_bias|trees';

type Kind = 'cbm' | 'json';

/** Reads models that CatBoost saved (`save_model`), as cbm or as JSON, and pickles of its estimators. */
export const catboostImporter: ModelImporter = oneFileImporter<Kind>({
  format: 'catboost',
  version: '3',
  name: 'CatBoost',
  none: 'No file is a CatBoost model: none begins with "CBM1" or as save_model(format="json") does, or is a pickle of one.',
  kindOf,
  first: 'cbm',
  mostBytes: (kind) => (kind === 'cbm' ? MOST_CBM_BYTES : MOST_JSON_BYTES),
  readsPickles: true,
  compile: (bytes, { kind }, importer) =>
    compileModel(
      kind === 'cbm'
        ? readCbm(bytes)
        : readJson(new Part(parseModelJson(bytes, MOST_DEPTH), 'model')),
      importer,
    ),
});

/** What a file is by its first bytes, whatever its name. */
async function kindOf(file: UploadedFile): Promise<Kind | undefined> {
  const head = new TextDecoder('latin1').decode(await file.read(0, HEAD_BYTES));
  if (head.startsWith(MAGIC)) return 'cbm';
  return new RegExp(`^\\s*\\{\\s*"(?:${MEMBERS})"\\s*:`).test(head) ? 'json' : undefined;
}
