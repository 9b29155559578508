import { Part } from '../document.js';
import type { ModelImporter, UploadedFile } from '../importer.js';
import { parseModelJson } from '../model-json.js';
import { oneFileImporter } from '../one-file-importer.js';
import { compileModel } from './compile-model.js';
import { isCheckpoint, readCheckpoint } from './read-checkpoint.js';
import { readJson } from './read-json.js';

const MOST_BYTES = 2 ** 30;
const MOST_DEPTH = 16;
const HEAD_BYTES = 256;

type Kind = 'checkpoint' | 'json';

/** Reads models of Treelite 4: checkpoints (`serialize`) and dumps (`dump_as_json`). */
export const treeliteImporter: ModelImporter = oneFileImporter<Kind>({
  format: 'treelite',
  version: '1',
  name: 'Treelite',
  none: 'No file is a Treelite checkpoint or its JSON.',
  kindOf,
  mostBytes: () => MOST_BYTES,
  readsPickles: false,
  compile: (bytes, { kind }, importer) =>
    compileModel(
      kind === 'checkpoint'
        ? readCheckpoint(bytes)
        : readJson(new Part(parseModelJson(bytes, MOST_DEPTH), 'model')),
      importer,
    ),
});

/** What a file is by its first bytes, whatever its name. */
async function kindOf(file: UploadedFile): Promise<Kind | undefined> {
  const head = await file.read(0, HEAD_BYTES);
  if (isCheckpoint(head)) return 'checkpoint';
  const text = new TextDecoder('latin1').decode(head);
  const isOld = /^\s*\{\s*"num_feature"\s*:\s*\d+\s*,\s*"task_type"\s*:\s*"k/.test(text);
  const isJson = /^\s*\{\s*"threshold_type"\s*:/.test(text) && text.includes('"leaf_output_type"');
  return isJson || isOld ? 'json' : undefined;
}
