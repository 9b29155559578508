import { UnsupportedModel, DamagedModel, type ModelImporter, type UploadedFile, type Verdict } from '../importer.js';
import { readPickle } from '../pickle/read-pickle.js';
import { compileModel } from './compile-model.js';

const VERSION = '1';
const MOST_BYTES = 2 ** 30;
/** First bytes that tell what a file is. */
const HEAD_BYTES = 65_536;

/** Reads estimators of scikit-learn that were pickled; nothing in a pickle is ever called. */
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
    if (!model) throw new DamagedModel('No file is a pickle of scikit-learn.');
    if (others.length > 0) {
      const paths = models.map(({ path }) => path).join(', ');
      throw new UnsupportedModel(`Several files are models of scikit-learn: ${paths}. Log one a version.`);
    }
    if (model.size > MOST_BYTES) {
      throw new UnsupportedModel(
        `${model.path} has ${model.size} bytes; models up to ${MOST_BYTES} are supported.`,
      );
    }
    const { root } = readPickle(await model.read());
    return compileModel(root, model.size, `sklearn@${VERSION}`);
  },
};

/** A pickle that names scikit-learn near its beginning, where the class of its root is. */
async function isModel(file: UploadedFile): Promise<boolean> {
  const head = await file.read(0, HEAD_BYTES);
  const text = new TextDecoder('latin1').decode(head);
  return /^(?:\x80[\x02-\x05]|[(c])/.test(text) && /\bsklearn\./.test(text);
}
