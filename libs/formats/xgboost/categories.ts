import type { Part } from '../document.js';
import { UnsupportedModel } from '../importer.js';

/**
 * The levels of each feature in the order of their codes, where the model holds them (`cats`, since 3.1); undefined for a
 * feature without, and undefined altogether where no feature has any.
 */
export function readLevels(model: Part, features: number): (string[] | undefined)[] | undefined {
  const encodings = model.optional('cats')?.optional('enc')?.list() ?? [];
  if (encodings.length === 0) return undefined;
  if (encodings.length !== features)
    model.damaged(`"cats" has ${encodings.length} of ${features} features`);
  const levels = encodings.map(readFeature);
  return levels.some((level) => level !== undefined) ? levels : undefined;
}

/** Levels are one run of bytes (as signed numbers), cut at the offsets. */
function readFeature(encoding: Part): string[] | undefined {
  if (!encoding.has('offsets')) {
    if (encoding.optional('values')?.numbers().length === 0) return undefined;
    throw new UnsupportedModel(
      `Categories that are numbers (${encoding.path}) are not supported; train on their codes or on strings.`,
    );
  }
  const offsets = encoding.field('offsets').numbers();
  const bytes = encoding.field('values').numbers();
  if (offsets.length === 0) return undefined;
  if (offsets[0] !== 0 || offsets[offsets.length - 1] !== bytes.length) {
    encoding.damaged('the offsets do not cover the values');
  }
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? -1;
    // XGBoost counts characters where it cuts bytes, so that such levels are garbled in the file itself.
    if (byte < 0 || byte > 127) {
      throw new UnsupportedModel(
        `Category levels that are not ASCII (${encoding.path}) are garbled by XGBoost when it saves them. Rename them and train again.`,
      );
    }
  }
  const levels: string[] = [];
  for (let i = 1; i < offsets.length; i++) {
    const [from = 0, to = -1] = [offsets[i - 1], offsets[i]];
    if (!(to >= from)) encoding.damaged(`offset ${i} goes back`);
    levels.push(
      String.fromCharCode(...Array.from({ length: to - from }, (_, k) => bytes[from + k] ?? 0)),
    );
  }
  if (new Set(levels).size !== levels.length) encoding.damaged('a level is there twice');
  return levels;
}
