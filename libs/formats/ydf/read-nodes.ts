import { gunzipSync } from 'node:zlib';
import { ByteReader } from '../byte-reader.js';
import { DamagedModel, UnsupportedModel, type UploadedFile } from '../importer.js';
import type { ReadBudget } from '../protobuf.js';
import { readNode, type YdfForestHeader, type YdfNode } from './ydf-messages.js';

/** A node of a tree with the numbers of its children; the root is 0. */
export interface PlacedNode extends YdfNode {
  negative: number;
  positive: number;
  /** Tests above it. */
  depth: number;
}

const MOST_NODES = 2 ** 24;
const MOST_UNPACKED = 2 ** 30;
/** Bytes that one compressed byte may become; those of real nodes become ten. */
const MOST_RATIO = 100;
const MOST_SHARDS = 1000;
const MOST_TREES = 1_000_000;

/** The trees of a model, in the order of the forest. Nodes lie depth first, the negative child before the positive. */
export async function readTrees(
  files: UploadedFile[],
  prefix: string,
  header: YdfForestHeader,
  budget: ReadBudget,
): Promise<PlacedNode[][]> {
  if (header.nodeFormat !== 'BLOB_SEQUENCE' && header.nodeFormat !== 'BLOB_SEQUENCE_GZIP') {
    throw new UnsupportedModel(
      `The container of nodes "${header.nodeFormat.slice(0, 40)}" of YDF is not supported; BLOB_SEQUENCE and BLOB_SEQUENCE_GZIP are.`,
    );
  }
  const { shards, trees } = header;
  if (!(shards >= 0 && shards <= MOST_SHARDS) || !(trees >= 0 && trees <= MOST_TREES)) {
    throw new DamagedModel(`The YDF header promises ${shards} files of nodes and ${trees} trees.`);
  }
  const found: { path: string; bytes: Uint8Array }[] = [];
  for (let shard = 0; shard < shards; shard++) {
    const path = `${prefix}nodes-${padded(shard)}-of-${padded(shards)}`;
    const file = files.find((candidate) => candidate.path === path);
    if (!file) throw new DamagedModel(`${path} is missing.`);
    if (file.size > MOST_UNPACKED) throw new UnsupportedModel(`${path} has ${file.size} bytes.`);
    found.push({ path, bytes: await file.read() });
  }
  const next = nodesOf(found, budget);
  const read = Array.from({ length: trees }, (_, i) => placeTree(next, `tree ${i}`));
  if (!next.next().done)
    throw new DamagedModel(`There are more nodes than those of ${trees} trees.`);
  return read;
}

function padded(shard: number): string {
  return String(shard).padStart(5, '0');
}

/** The nodes of all files, read one by one, so that those of no tree cost nothing. */
function* nodesOf(
  files: { path: string; bytes: Uint8Array }[],
  budget: ReadBudget,
): Generator<YdfNode, undefined> {
  let count = 0;
  for (const { path, bytes } of files) {
    for (const blob of blobsOf(bytes, path)) {
      if (count >= MOST_NODES) {
        throw new UnsupportedModel(`The model has more than ${MOST_NODES} nodes.`);
      }
      yield readNode(blob, `node ${count}`, budget);
      count += 1;
    }
  }
  return undefined;
}

/** "BS", a version, how it is compressed, then blobs with their lengths in front. */
function* blobsOf(bytes: Uint8Array, path: string): Generator<Uint8Array, undefined> {
  const head = new ByteReader(bytes, path);
  if (head.text(2, 'the first bytes') !== 'BS') head.fail('it is no sequence of blobs');
  const version = head.uint8('the version') + 256 * head.uint8('the version');
  const compression = head.uint8('the compression');
  head.skip(3, 'the head');
  if (version > 1 || compression > 1) {
    throw new UnsupportedModel(
      `${path} is a sequence of blobs of version ${version}, compressed by ${compression}; neither more than 1 is supported.`,
    );
  }
  const rest = head.view8(head.left, 'the nodes');
  const reader = new ByteReader(compression === 1 ? unpack(rest, path) : rest, path);
  while (reader.left > 0) {
    const length = reader.uint32('the length of a node');
    yield reader.view8(length, 'a node');
  }
  return undefined;
}

function unpack(bytes: Uint8Array, path: string): Uint8Array {
  try {
    const most = Math.min(MOST_UNPACKED, bytes.length * MOST_RATIO + 65_536);
    return gunzipSync(bytes, { maxOutputLength: most });
  } catch (error) {
    throw new DamagedModel(`${path}: ${error instanceof Error ? error.message : 'is not gzip'}`);
  }
}

function placeTree(next: Iterator<YdfNode, undefined>, what: string): PlacedNode[] {
  const placed: PlacedNode[] = [];
  const take = (depth: number): PlacedNode => {
    const { value, done } = next.next();
    if (done) throw new DamagedModel(`${what} ends before its leaves`);
    const node: PlacedNode = { ...value, negative: -1, positive: -1, depth };
    placed.push(node);
    return node;
  };
  const open: PlacedNode[] = [take(0)];
  for (let parent = open.pop(); parent; parent = open.pop()) {
    if (!parent.condition) continue;
    // The second child waits until all below the first has been read.
    if (parent.negative >= 0) {
      parent.positive = placed.length;
      open.push(take(parent.depth + 1));
    } else {
      parent.negative = placed.length;
      open.push(parent, take(parent.depth + 1));
    }
  }
  return placed;
}
