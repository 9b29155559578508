import {
  DamagedModel,
  UnsupportedModel,
  type ModelImporter,
  type UploadedFile,
  type Verdict,
} from '../importer.js';
import { readPythonFile } from '../pickle/python-file.js';
import { compressionOf } from '../pickle/compression.js';
import { compileModel } from './compile-model.js';

const VERSION = '1';
const MOST_BYTES = 2 ** 30;
/** First bytes that tell what a file is. */
const HEAD_BYTES = 65_536;

/** Reads estimators of scikit-learn from pickles, files of joblib and of skops; nothing in them is ever called. */
export const sklearnImporter: ModelImporter = {
  format: 'sklearn',
  version: VERSION,

  async recognises(files: UploadedFile[]): Promise<boolean> {
    for (const file of files) if (await isModel(file)) return true;
    return false;
  },

  async compile(files: UploadedFile[]): Promise<Verdict> {
    const models: UploadedFile[] = [];
    for (const file of files) if (await isModel(file)) models.push(file);
    const [model, ...others] = models;
    if (!model) throw new DamagedModel('No file is a model of scikit-learn.');
    if (others.length > 0) {
      const paths = models.map(({ path }) => path).join(', ');
      throw new UnsupportedModel(
        `Several files are models of scikit-learn: ${paths}. Log one a version.`,
      );
    }
    if (model.size > MOST_BYTES) {
      throw new UnsupportedModel(
        `${model.path} has ${model.size} bytes; models up to ${MOST_BYTES} are supported.`,
      );
    }
    const { root } = await readPythonFile(
      model,
      files.filter((file) => file !== model),
    );
    return compileModel(root, model.size, `sklearn@${VERSION}`);
  },
};

/** Extensions of compressed files, whose content is not looked at before somebody wants it. */
const COMPRESSED = /\.(pkl|pickle|joblib|z|gz|bz2|lzma|xz|lz4|skops)$/i;

/** A pickle or an archive of skops that names scikit-learn near its beginning, where the class of its root is. */
async function isModel(file: UploadedFile): Promise<boolean> {
  const head = await file.read(0, HEAD_BYTES);
  if (compressionOf(head)) return COMPRESSED.test(file.path);
  const text = new TextDecoder('latin1').decode(head);
  if (text.startsWith('PK')) return isSkops(file);
  const [first = 0, protocol = 0] = head;
  const isPickle = (first === 0x80 && protocol >= 2 && protocol <= 5) || /^[(c]/.test(text);
  return isPickle && /sklearn\./.test(text);
}

/** Whether a zip has the one file that says what its other files are. */
async function isSkops(file: UploadedFile): Promise<boolean> {
  const tail = await file.read(Math.max(0, file.size - HEAD_BYTES), HEAD_BYTES);
  return new TextDecoder('latin1').decode(tail).includes('schema.json');
}
