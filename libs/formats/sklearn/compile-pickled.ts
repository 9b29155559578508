import { UnsupportedModel, type UploadedFile, type Verdict } from '../importer.js';
import { readPythonFile } from '../pickle/python-file.js';
import { compileModel, type CompiledBy } from './compile-model.js';

const MOST_BYTES = 2 ** 30;

/**
 * Compiles the one pickle among `models`, whatever library its estimator is of; `files` are all of the upload. Throws
 * UnsupportedModel and DamagedModel.
 */
export async function compilePickled(
  models: UploadedFile[],
  files: UploadedFile[],
  by: CompiledBy,
): Promise<Verdict> {
  const [model, ...others] = models;
  if (!model || others.length > 0) {
    const paths = models.map(({ path }) => path).join(', ');
    throw new UnsupportedModel(
      `Several files are models of ${by.format}: ${paths}. Log one a version.`,
    );
  }
  if (model.size > MOST_BYTES) {
    throw new UnsupportedModel(
      `${model.path} has ${model.size} bytes; models up to ${MOST_BYTES} are supported.`,
    );
  }
  const beside = files.filter((file) => file !== model);
  const { root } = await readPythonFile(model, beside);
  return compileModel(root, model.size, by);
}
