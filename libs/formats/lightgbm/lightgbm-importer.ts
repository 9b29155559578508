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
import type { LightgbmModel } from './model.js';
import { readDump } from './read-dump.js';
import { readText } from './read-text.js';

const VERSION = '2';
/** A text cannot be longer in JavaScript. */
const MOST_BYTES = 2 ** 29 - 25;
/** Of nesting in a dump: leaf-wise trees may be deep. */
const MOST_DEPTH = 20_000;
const HEAD_BYTES = 4096;

type Kind = 'text' | 'dump';

/**
 * Reads models that LightGBM saved as text (`save_model`) or that were dumped as JSON (`dump_model`), 2.0.12 to 4, and pickles
 * of its Booster and of its estimators for scikit-learn.
 */
export const lightgbmImporter: ModelImporter = {
  format: 'lightgbm',
  version: VERSION,

  async recognises(files: UploadedFile[]): Promise<boolean> {
    for (const file of files) if (await kindOf(file)) return true;
    return (await findPickled(files, 'lightgbm')).length > 0;
  },

  async compile(files: UploadedFile[]): Promise<Verdict> {
    const found: { file: UploadedFile; kind: Kind }[] = [];
    for (const file of files) {
      const kind = await kindOf(file);
      if (kind) found.push({ file, kind });
    }
    // A dump beside the text says the same.
    const models = found.some(({ kind }) => kind === 'text')
      ? found.filter(({ kind }) => kind === 'text')
      : found;
    const [model, ...others] = models;
    if (!model) {
      const pickled = await findPickled(files, 'lightgbm');
      if (pickled.length > 0) {
        const facts = { importer: `lightgbm@${VERSION}`, format: 'lightgbm' };
        return compilePickled(pickled, files, facts);
      }
      throw new DamagedModel(
        'No file is a LightGBM model: none begins with "tree" as save_model writes it, or is a pickle of one.',
      );
    }
    if (others.length > 0) {
      const paths = models.map(({ file }) => file.path);
      throw new UnsupportedModel(
        `Several files are LightGBM models: ${paths.join(', ')}. Log one a version.`,
      );
    }
    return compileModel(await parse(model.file, model.kind), `lightgbm@${VERSION}`);
  },
};

/** What a file is by its first bytes, whatever its name. */
async function kindOf(file: UploadedFile): Promise<Kind | undefined> {
  const head = new TextDecoder('latin1').decode(await file.read(0, HEAD_BYTES));
  if (/^tree\r?\n(?:version|num_class)=/.test(head)) return 'text';
  return /^\s*\{\s*"name"\s*:\s*"tree"\s*,/.test(head) && head.includes('"num_tree_per_iteration"')
    ? 'dump'
    : undefined;
}

async function parse(file: UploadedFile, kind: Kind): Promise<LightgbmModel> {
  if (file.size > MOST_BYTES) {
    throw new UnsupportedModel(
      `${file.path} has ${file.size} bytes; models up to ${MOST_BYTES} are supported.`,
    );
  }
  const bytes = await file.read();
  if (kind === 'dump') return readDump(new Part(parseModelJson(bytes, MOST_DEPTH), 'model'));
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new DamagedModel(`${file.path} is not UTF-8.`);
  }
  return readText(text);
}
