import {
  DamagedModel,
  UnsupportedModel,
  type ModelImporter,
  type UploadedFile,
} from '../importer.js';
import { isZip } from '../pickle/zip-file.js';
import { isHdf5 } from './hdf5.js';

const FORMAT = 'keras';
const VERSION = '1';

/** Whole models that Keras 2 and 3 save: `.keras` archives and HDF5 files. */
export const kerasImporter: ModelImporter = {
  format: FORMAT,
  version: VERSION,

  async recognises(files) {
    return (await findModels(files)).length > 0;
  },

  async compile(files) {
    const [file, ...others] = await findModels(files);
    if (!file) throw new DamagedModel('None of the files is a Keras model (.keras or .h5).');
    if (others.length > 0)
      throw new UnsupportedModel(`There are ${others.length + 1} Keras models; log one a version.`);
    const { compileKeras } = await import('./compile-keras.js');
    return compileKeras(file, `${FORMAT}@${VERSION}`);
  },
};

/** Files that end like models of Keras and begin like them; whatever they are called, HDF5 files are no others' models. */
async function findModels(files: UploadedFile[]): Promise<UploadedFile[]> {
  const named = files.filter(({ path }) => /\.(keras|h5|hdf5)$/i.test(path));
  const heads = await Promise.all(named.map((file) => file.read(0, 8)));
  return named.filter((file, i) => {
    const head = heads[i] ?? new Uint8Array();
    return isHdf5(head) || (/\.keras$/i.test(file.path) && isZip(head));
  });
}
