import {
  DamagedModel,
  UnsupportedModel,
  type ModelImporter,
  type UploadedFile,
} from '../importer.js';

const FORMAT = 'saved-model';
const VERSION = '1';
const MOST_BYTES = 2 ** 31 - 1;

/**
 * Folders that TensorFlow 1 and 2, Keras (`model.export`, and `model.save` of Keras 2) and estimators save.
 */
export const savedModelImporter: ModelImporter = {
  format: FORMAT,
  version: VERSION,

  async recognises(files) {
    return files.some(({ path }) => /(^|\/)saved_model\.(pb|cpb|pbtxt)$/.test(path));
  },

  async compile(files) {
    const folder = folderOf(files);
    const file = folder.get('saved_model.pb');
    if (!file) throw new UnsupportedModel(notPlain(folder));
    if (file.size > MOST_BYTES)
      throw new UnsupportedModel(
        `${file.path} has ${file.size} bytes; ${MOST_BYTES} are supported.`,
      );
    const { compileSavedModel } = await import('./compile-saved-model.js');
    return compileSavedModel(file, folder, `${FORMAT}@${VERSION}`);
  },
};

/** The files of the SavedModel by their paths in its folder, which need not be the upload's own. */
function folderOf(files: UploadedFile[]): Map<string, UploadedFile> {
  const places = files
    .map(({ path }) => /^(.*\/)?saved_model\.(pb|cpb|pbtxt)$/.exec(path))
    .filter((found) => found !== null)
    .map((found) => found[1] ?? '');
  const folders = [...new Set(places)];
  const [prefix, ...others] = folders;
  if (prefix === undefined) throw new DamagedModel('There is no saved_model.pb.');
  if (others.length > 0)
    throw new UnsupportedModel(
      `There are several SavedModels, in ${folders
        .slice(0, 5)
        .map((folder) => JSON.stringify(folder))
        .join(', ')}. Log one a version.`,
    );
  return new Map(
    files
      .filter(({ path }) => path.startsWith(prefix))
      .map((file) => [file.path.slice(prefix.length), file]),
  );
}

function notPlain(folder: ReadonlyMap<string, UploadedFile>): string {
  return folder.has('saved_model.cpb')
    ? 'saved_model.cpb is a SavedModel in pieces (chunked), which is experimental and not supported. Save the model as one saved_model.pb.'
    : 'saved_model.pbtxt is not supported. Save the model as saved_model.pb.';
}
