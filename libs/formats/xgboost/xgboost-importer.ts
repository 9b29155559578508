import type { UploadedFile, Verdict, ModelImporter } from '../importer.js';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import { Part } from '../document.js';
import { parseModelJson } from '../model-json.js';
import { compileModel } from './compile-model.js';
import { isBinaryModel, readBinary } from './read-binary.js';
import { parseUbjson } from './ubjson.js';

const VERSION = '3';
const MOST_BYTES = 2 ** 30;
/** Of nesting; XGBoost's own models have 8. */
const MOST_DEPTH = 64;
/** First bytes that tell what a file is. */
const HEAD_BYTES = 65_536;

type Kind = 'json' | 'ubjson' | 'binary';

/** Reads models that XGBoost saved as JSON or UBJSON (1.0 to 3.4) or in its old binary format (0.x to 2.1). */
export const xgboostImporter: ModelImporter = {
  format: 'xgboost',
  version: VERSION,

  async recognises(files: UploadedFile[]): Promise<boolean> {
    for (const file of files) if (await kindOf(file)) return true;
    return false;
  },

  async compile(files: UploadedFile[]): Promise<Verdict> {
    const [model, ...others] = await modelsAmong(files);
    if (!model)
      throw new DamagedModel(
        'No file is an XGBoost model: none begins as one in JSON, UBJSON or the old binary format does.',
      );
    if (others.length > 0) {
      const paths = [model, ...others].map(({ file }) => file.path);
      throw new UnsupportedModel(
        `Several files are XGBoost models: ${paths.join(', ')}. Log one a version.`,
      );
    }
    return compileModel(await parse(model), `xgboost@${VERSION}`);
  },
};

interface Found {
  file: UploadedFile;
  kind: Kind;
}

async function modelsAmong(files: UploadedFile[]): Promise<Found[]> {
  const found: Found[] = [];
  for (const file of files) {
    const kind = await kindOf(file);
    if (kind) found.push({ file, kind });
  }
  return found;
}

/** What a file is by its first bytes, whatever its name. */
async function kindOf(file: UploadedFile): Promise<Kind | undefined> {
  const head = await file.read(0, HEAD_BYTES);
  const text = new TextDecoder('latin1').decode(head);
  if (isBinaryModel(head)) return 'binary';
  if (/^\{[iUIlL#]/.test(text) && text.slice(0, 32).includes('learner')) return 'ubjson';
  return /^(?:ï»¿)?\s*\{\s*"(?:learner|version)"\s*:/.test(text) && text.includes('"learner"')
    ? 'json'
    : undefined;
}

async function parse({ file, kind }: Found): Promise<Part> {
  if (file.size > MOST_BYTES) {
    throw new UnsupportedModel(
      `${file.path} has ${file.size} bytes; models up to ${MOST_BYTES} are supported.`,
    );
  }
  const bytes = await file.read();
  return new Part(READ[kind](bytes), 'model');
}

const READ: Record<Kind, (bytes: Uint8Array) => unknown> = {
  json: (bytes) => parseModelJson(bytes, MOST_DEPTH),
  ubjson: parseUbjson,
  binary: readBinary,
};
