import { Part } from '../document.js';
import {
  DamagedModel,
  UnsupportedModel,
  type ModelImporter,
  type UploadedFile,
  type Verdict,
} from '../importer.js';
import { parseModelJson } from '../model-json.js';
import { findPickled } from '../pickle/root-package.js';
import { compilePickled } from '../sklearn/compile-pickled.js';
import { compileModel } from './compile-model.js';
import type { CatboostModel } from './model.js';
import { MAGIC, readCbm } from './read-cbm.js';
import { readJson } from './read-json.js';

const VERSION = '2';
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
export const catboostImporter: ModelImporter = {
  format: 'catboost',
  version: VERSION,

  async recognises(files: UploadedFile[]): Promise<boolean> {
    for (const file of files) if (await kindOf(file)) return true;
    return (await findPickled(files, 'catboost')).length > 0;
  },

  async compile(files: UploadedFile[]): Promise<Verdict> {
    const found: { file: UploadedFile; kind: Kind }[] = [];
    for (const file of files) {
      const kind = await kindOf(file);
      if (kind) found.push({ file, kind });
    }
    // JSON beside a cbm says the same.
    const models = found.some(({ kind }) => kind === 'cbm')
      ? found.filter(({ kind }) => kind === 'cbm')
      : found;
    const [model, ...others] = models;
    if (!model) {
      const pickled = await findPickled(files, 'catboost');
      if (pickled.length > 0) {
        const facts = { importer: `catboost@${VERSION}`, format: 'catboost' };
        return compilePickled(pickled, files, facts);
      }
      throw new DamagedModel(
        'No file is a CatBoost model: none begins with "CBM1" or as save_model(format="json") does, or is a pickle of one.',
      );
    }
    if (others.length > 0) {
      const paths = models.map(({ file }) => file.path);
      throw new UnsupportedModel(
        `Several files are CatBoost models: ${paths.join(', ')}. Log one a version.`,
      );
    }
    return compileModel(await parse(model.file, model.kind), `catboost@${VERSION}`);
  },
};

/** What a file is by its first bytes, whatever its name. */
async function kindOf(file: UploadedFile): Promise<Kind | undefined> {
  const head = new TextDecoder('latin1').decode(await file.read(0, HEAD_BYTES));
  if (head.startsWith(MAGIC)) return 'cbm';
  return new RegExp(`^\\s*\\{\\s*"(?:${MEMBERS})"\\s*:`).test(head) ? 'json' : undefined;
}

async function parse(file: UploadedFile, kind: Kind): Promise<CatboostModel> {
  const most = kind === 'cbm' ? MOST_CBM_BYTES : MOST_JSON_BYTES;
  if (file.size > most) {
    throw new UnsupportedModel(
      `${file.path} has ${file.size} bytes; models up to ${most} are supported.`,
    );
  }
  const bytes = await file.read();
  return kind === 'cbm'
    ? readCbm(bytes)
    : readJson(new Part(parseModelJson(bytes, MOST_DEPTH), 'model'));
}
