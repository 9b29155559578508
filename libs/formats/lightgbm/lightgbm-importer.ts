import { Part } from '../document.js';
import { DamagedModel, type ModelImporter, type UploadedFile } from '../importer.js';
import { parseModelJson } from '../model-json.js';
import { oneFileImporter } from '../one-file-importer.js';
import { compileModel } from './compile-model.js';
import { readDump } from './read-dump.js';
import { readText } from './read-text.js';

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
export const lightgbmImporter: ModelImporter = oneFileImporter<Kind>({
  format: 'lightgbm',
  version: '2',
  name: 'LightGBM',
  none: 'No file is a LightGBM model: none begins with "tree" as save_model writes it, or is a pickle of one.',
  kindOf,
  first: 'text',
  mostBytes: () => MOST_BYTES,
  readsPickles: true,
  compile: (bytes, { file, kind }, importer) =>
    compileModel(
      kind === 'dump'
        ? readDump(new Part(parseModelJson(bytes, MOST_DEPTH), 'model'))
        : readText(textOf(bytes, file)),
      importer,
    ),
});

/** What a file is by its first bytes, whatever its name. */
async function kindOf(file: UploadedFile): Promise<Kind | undefined> {
  const head = new TextDecoder('latin1').decode(await file.read(0, HEAD_BYTES));
  if (/^tree\r?\n(?:version|num_class)=/.test(head)) return 'text';
  return /^\s*\{\s*"name"\s*:\s*"tree"\s*,/.test(head) && head.includes('"num_tree_per_iteration"')
    ? 'dump'
    : undefined;
}

function textOf(bytes: Uint8Array, { path }: UploadedFile): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new DamagedModel(`${path} is not UTF-8.`);
  }
}
