import { DamagedModel } from '../importer.js';

/** The lists of categories that the Python package writes as JSON behind a model: `null`, or a list a pandas column. */
export function readCategories(json: string): unknown[][] {
  let lists: unknown;
  try {
    lists = JSON.parse(json);
  } catch {
    throw new DamagedModel('pandas_categorical is not JSON.');
  }
  return checkCategories(lists);
}

export function checkCategories(lists: unknown): unknown[][] {
  if (lists === null || lists === undefined) return [];
  const checked = Array.isArray(lists)
    ? lists.filter((list): list is unknown[] => Array.isArray(list))
    : [];
  if (!Array.isArray(lists) || checked.length !== lists.length) {
    throw new DamagedModel('pandas_categorical is not a list of lists.');
  }
  return checked;
}
