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
  const nodes: YdfNode[] = [];
  for (let shard = 0; shard < shards; shard++) {
    const path = `${prefix}nodes-${padded(shard)}-of-${padded(shards)}`;
    const file = files.find((candidate) => candidate.path === path);
    if (!file) throw new DamagedModel(`${path} is missing.`);
    if (file.size > MOST_UNPACKED) throw new UnsupportedModel(`${path} has ${file.size} bytes.`);
    readBlobs(await file.read(), path, budget, nodes);
  }
  const next = nodes.values();
  const read = Array.from({ length: trees }, (_, i) => placeTree(next, `tree ${i}`));
  if (!next.next().done)
    throw new DamagedModel(`There are more nodes than those of ${trees} trees.`);
  return read;
}

function padded(shard: number): string {
  return String(shard).padStart(5, '0');
}

/** "BS", a version, how it is compressed, then blobs with their lengths in front. */
function readBlobs(bytes: Uint8Array, path: string, budget: ReadBudget, into: YdfNode[]): void {
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
    if (into.length >= MOST_NODES) {
      throw new UnsupportedModel(`The model has more than ${MOST_NODES} nodes.`);
    }
    const length = reader.uint32('the length of a node');
    into.push(readNode(reader.view8(length, 'a node'), `node ${into.length}`, budget));
  }
}

function unpack(bytes: Uint8Array, path: string): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: MOST_UNPACKED });
  } catch (error) {
    throw new DamagedModel(`${path}: ${error instanceof Error ? error.message : 'is not gzip'}`);
  }
}

function placeTree(next: Iterator<YdfNode>, what: string): PlacedNode[] {
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
