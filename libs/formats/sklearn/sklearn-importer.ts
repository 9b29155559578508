import { DamagedModel, type ModelImporter, type UploadedFile, type Verdict } from '../importer.js';
import { compressionOf } from '../pickle/compression.js';

const VERSION = '2';
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
    if (models.length === 0) throw new DamagedModel('No file is a model of scikit-learn.');
    const { compilePickled } = await import('./compile-pickled.js');
    return compilePickled(models, files, { importer: `sklearn@${VERSION}`, format: 'sklearn' });
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
