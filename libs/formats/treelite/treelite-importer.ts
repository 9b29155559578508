import { Part } from '../document.js';
import {
  DamagedModel,
  UnsupportedModel,
  type ModelImporter,
  type UploadedFile,
} from '../importer.js';
import { parseModelJson } from '../model-json.js';
import { compileModel } from './compile-model.js';
import { isCheckpoint, readCheckpoint } from './read-checkpoint.js';
import { readJson } from './read-json.js';

const VERSION = '1';
const MOST_BYTES = 2 ** 30;
const MOST_DEPTH = 16;
const HEAD_BYTES = 256;

type Kind = 'checkpoint' | 'json';

/** Reads models of Treelite 4: checkpoints (`serialize`) and dumps (`dump_as_json`). */
export const treeliteImporter: ModelImporter = {
  format: 'treelite',
  version: VERSION,

  async recognises(files) {
    for (const file of files) if (await kindOf(file)) return true;
    return false;
  },

  async compile(files) {
    const found: { file: UploadedFile; kind: Kind }[] = [];
    for (const file of files) {
      const kind = await kindOf(file);
      if (kind) found.push({ file, kind });
    }
    const [model, ...others] = found;
    if (!model) throw new DamagedModel('No file is a Treelite checkpoint or its JSON.');
    if (others.length > 0) {
      throw new UnsupportedModel('Several files are Treelite models. Log one a version.');
    }
    const { file, kind } = model;
    if (file.size > MOST_BYTES) {
      throw new UnsupportedModel(
        `${file.path} has ${file.size} bytes; ${MOST_BYTES} are supported.`,
      );
    }
    const bytes = await file.read();
    const read =
      kind === 'checkpoint'
        ? readCheckpoint(bytes)
        : readJson(new Part(parseModelJson(bytes, MOST_DEPTH), 'model'));
    return compileModel(read, `treelite@${VERSION}`);
  },
};

/** What a file is by its first bytes, whatever its name. */
async function kindOf(file: UploadedFile): Promise<Kind | undefined> {
  const head = await file.read(0, HEAD_BYTES);
  if (isCheckpoint(head)) return 'checkpoint';
  const text = new TextDecoder('latin1').decode(head);
  const isOld = /^\s*\{\s*"num_feature"\s*:\s*\d+\s*,\s*"task_type"\s*:\s*"k/.test(text);
  const isJson = /^\s*\{\s*"threshold_type"\s*:/.test(text) && text.includes('"leaf_output_type"');
  return isJson || isOld ? 'json' : undefined;
}
