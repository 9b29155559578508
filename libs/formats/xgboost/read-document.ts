import { Part } from '../document.js';
import { DamagedModel } from '../importer.js';
import { parseModelJson } from '../model-json.js';
import { isBinaryModel, readBinary } from './read-binary.js';
import { parseUbjson } from './ubjson.js';

/** Of nesting; XGBoost's own models have 8. */
const MOST_DEPTH = 64;

export type DocumentKind = 'json' | 'ubjson' | 'binary';

/** What a file is by its first bytes, whatever its name. */
export function kindOf(head: Uint8Array): DocumentKind | undefined {
  const text = new TextDecoder('latin1').decode(head);
  if (isBinaryModel(head)) return 'binary';
  if (/^\{[iUIlL#]/.test(text) && text.slice(0, 32).includes('learner')) return 'ubjson';
  return /^(?:ï»¿)?\s*\{\s*"(?:learner|version)"\s*:/.test(text) && text.includes('"learner"')
    ? 'json'
    : undefined;
}

const READ: Record<DocumentKind, (bytes: Uint8Array) => unknown> = {
  json: (bytes) => parseModelJson(bytes, MOST_DEPTH),
  ubjson: parseUbjson,
  binary: readBinary,
};

/** The document of a model that XGBoost saved. Throws DamagedModel and UnsupportedModel. */
export function readDocument(bytes: Uint8Array, kind: DocumentKind): Part {
  return new Part(READ[kind](bytes), 'model');
}

/** In front of a binary model with its configuration (1.0 to 1.2): then 8 bytes, the length of the model. */
const OFFSET_MAGIC = 'CONFIG-offset:';

export interface Snapshot {
  model: Part;
  /** How it was trained (`save_config`). */
  config?: Part;
}

/**
 * The document of a model inside a pickled Booster: what `XGBoosterSerializeToBuffer` wrote (src/learner.cc, `Learner::Save`):
 * `{"Config", "Model"}` in UBJSON since 1.6, in JSON from 1.0 on, or a binary model, which before 1.0 stood alone. Throws
 * DamagedModel and UnsupportedModel.
 */
export function readSnapshot(bytes: Uint8Array): Snapshot {
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 64));
  if (head.startsWith(OFFSET_MAGIC)) {
    const start = OFFSET_MAGIC.length + 8;
    if (bytes.length < start) throw new DamagedModel('The pickled Booster is cut off.');
    const view = new DataView(bytes.buffer, bytes.byteOffset + OFFSET_MAGIC.length, 8);
    const length = Number(view.getBigUint64(0, true));
    if (start + length > bytes.length) throw new DamagedModel('The pickled Booster is cut off.');
    const config = readDocument(bytes.subarray(start + length), 'json');
    return { model: readDocument(bytes.subarray(start, start + length), 'binary'), config };
  }
  if (!head.startsWith('{')) return { model: readDocument(bytes, 'binary') };
  const document = readDocument(bytes, /^\{\s*"/.test(head) ? 'json' : 'ubjson');
  const config = document.optional('Config');
  return { model: document.optional('Model') ?? document, ...(config && { config }) };
}
