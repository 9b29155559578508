import {
  DamagedModel,
  UnsupportedModel,
  type ModelImporter,
  type UploadedFile,
} from '../importer.js';
import type { ReadBudget } from '../protobuf.js';
import { compileModel } from './compile-model.js';
import { readTrees } from './read-nodes.js';
import {
  readDataSpec,
  readGradientBoostedHeader,
  readHeader,
  readIsolationHeader,
  readRandomForestHeader,
} from './ydf-messages.js';

const VERSION = '1';
const MOST_HEADER_BYTES = 2 ** 27;
const MOST_MESSAGES = 2 ** 27;

/** What each type of model calls its header, and how that is read. */
const FORESTS = {
  GRADIENT_BOOSTED_TREES: {
    file: 'gradient_boosted_trees_header.pb',
    read: readGradientBoostedHeader,
  },
  ISOLATION_FOREST: { file: 'isolation_forest_header.pb', read: readIsolationHeader },
  RANDOM_FOREST: { file: 'random_forest_header.pb', read: readRandomForestHeader },
};

/** Reads the folders that Yggdrasil Decision Forests saves (`model.save`), with or without a prefix before their names. */
export const ydfImporter: ModelImporter = {
  format: 'ydf',
  version: VERSION,

  async recognises(files) {
    return prefixesOf(files).length > 0;
  },

  async compile(files) {
    const [prefix, ...others] = prefixesOf(files);
    if (prefix === undefined) {
      throw new DamagedModel('No folder has header.pb and data_spec.pb, as YDF saves models.');
    }
    if (others.length > 0) {
      throw new UnsupportedModel('Several YDF models are in the upload. Log one a version.');
    }
    const budget: ReadBudget = { messages: MOST_MESSAGES };
    const bytes = (name: string) => readWhole(files, `${prefix}${name}`);
    const header = readHeader(await bytes('header.pb'), budget);
    const columns = readDataSpec(await bytes('data_spec.pb'), budget);
    const kind = Object.entries(FORESTS).find(([name]) => name === header.name)?.[1];
    if (!kind) {
      throw new UnsupportedModel(
        `YDF models of type "${header.name.slice(0, 60)}" are not supported; ${Object.keys(FORESTS).join(', ')} are.`,
      );
    }
    const forest = kind.read(await bytes(kind.file), budget);
    const trees = await readTrees(files, prefix, forest, budget);
    return compileModel({ header, columns, forest, trees }, `ydf@${VERSION}`);
  },
};

const SPECIFICATION = 'data_spec.pb';

/** What stands before the names of a model's files. Models inside a SavedModel are part of its graph. */
function prefixesOf(files: UploadedFile[]): string[] {
  const paths = new Set(files.map((file) => file.path));
  if (files.some((file) => /(^|\/)saved_model\.pb$/.test(file.path))) return [];
  return [...paths]
    .filter((path) => path.endsWith(SPECIFICATION))
    .map((path) => path.slice(0, -SPECIFICATION.length))
    .filter((prefix) => paths.has(`${prefix}header.pb`));
}

async function readWhole(files: UploadedFile[], path: string): Promise<Uint8Array> {
  const file = files.find((candidate) => candidate.path === path);
  if (!file) throw new DamagedModel(`${path} is missing.`);
  if (file.size > MOST_HEADER_BYTES) {
    throw new UnsupportedModel(
      `${path} has ${file.size} bytes; ${MOST_HEADER_BYTES} are supported.`,
    );
  }
  return file.read();
}
