/**
 * The forest kernel, in AssemblyScript: `scripts/build-kernels.mjs` compiles it into `../generated/forest-kernel.ts`, and
 * `../forest.ts` lays out the memory that it reads.
 *
 * A node is 16 bytes, the children of a node stand side by side, and a leaf is a node whose threshold is +Infinity and whose
 * child is itself. So one step down a tree is `child + (value > threshold) * 16` without a branch, any number of steps may be
 * taken too many, and eight walks are in flight at once: eight trees for one row, eight rows for one tree. The cast of the
 * comparison matters: `? 1 : 0` would be compiled to a jump, which is mispredicted every other time.
 */

/** What `forest.ts` writes at `LAYOUT`; all addresses in bytes. */
@unmanaged
class Layout {
  /** Largest size of a number that counts as zero. */
  zero: f64;
  /** A number is a category where it is greater than this. */
  leastCategory: f64;
  /** Addresses of the roots, in the order of the trees. */
  roots: u32;
  /** Depth of each tree. */
  depths: u32;
  /** Kind of each tree: 0 plain, 1 some node takes zero for missing, 2 some node tests a set of categories. */
  kinds: u32;
  trees: u32;
  /** Pairs (root, number of the tree), sorted by kind, then by depth. */
  sorted: u32;
  /** Depth of the deepest of each eight of `sorted`. */
  groupDepths: u32;
  /** How many of `sorted` are of kind 0, and of kind 0 or 1. */
  plain: u32;
  plainOrZero: u32;
  /** FP64 only: for each node what FP32 nodes hold at META. */
  nodes: u32;
  metas: u32;
  /** Leaf values, `width` a leaf. */
  values: u32;
  width: u32;
  /** The library's number of each leaf. */
  leafNumbers: u32;
  /** The column that each tree adds to (width 1). */
  treeColumns: u32;
  columns: u32;
  /** What the sums start with. */
  base: u32;
  /** Rows to answer: `features` values, `stride` bytes apart. */
  rows: u32;
  stride: u32;
  features: u32;
  scores: u32;
  leaves: u32;
  /** Scratch: the leaf that each walk reached. */
  reached: u32;
  /** Sums are kept in float32 rather than float64. */
  narrowSums: u32;
  /** Address of a set without a member. */
  emptySet: u32;
  /** Whether rows are looked through for zeros. */
  findZeros: u32;
  /** How far behind a number of the rows its category lies; 0: no tree tests sets. */
  codes: u32;
}

const LAYOUT: usize = 16;
const layout = changetype<Layout>(LAYOUT);

/** In an inner node: bit 0 a missing value goes right, bit 1 zero is missing, bit 2 categorical. In a leaf: its index × 8. */
const META: usize = 12;

const HAS_MISSING: u32 = 1;
const HAS_ZERO: u32 = 2;

const WANT_SCORES: u32 = 1;
const WANT_LEAVES: u32 = 2;

/** Answers `count` rows of float32. */
export function run32(count: u32, wanted: u32): void {
  run<f32>(count, wanted);
}

/** Answers `count` rows of float64. */
export function run64(count: u32, wanted: u32): void {
  run<f64>(count, wanted);
}

function run<T>(count: u32, wanted: u32): void {
  const found = look<T>(count);
  if (layout.codes) findCodes<T>(count);
  if (wanted & WANT_SCORES) start(count);
  if (count < 8) {
    for (let row: u32 = 0; row < count; row++) answerRow<T>(row, found, wanted);
  } else {
    answerBlock<T>(count, found, wanted);
  }
}

/** Whether any of the rows has a missing value or a zero. */
function look<T>(count: u32): u32 {
  const bytes = layout.features * sizeof<T>();
  let missing: bool = false;
  let zero: bool = false;
  for (let row: u32 = 0; row < count; row++) {
    const from = <usize>layout.rows + <usize>(row * layout.stride);
    for (let at = from; at < from + bytes; at += sizeof<T>()) {
      const value = load<T>(at);
      missing = missing | (value != value);
    }
    if (layout.findZeros) {
      for (let at = from; at < from + bytes; at += sizeof<T>()) {
        zero = zero | (abs<f64>(<f64>load<T>(at)) <= layout.zero);
      }
    }
  }
  return (missing ? HAS_MISSING : 0) | (zero ? HAS_ZERO : 0);
}

/** Sets the sums of `count` rows to the base. */
function start(count: u32): void {
  const bytes = layout.columns << (layout.narrowSums ? 2 : 3);
  for (let row: u32 = 0; row < count; row++) {
    memory.copy(<usize>(layout.scores + row * bytes), <usize>layout.base, <usize>bytes);
  }
}

function threshold<T>(node: usize): T {
  return load<T>(node);
}

function feature<T>(node: usize): usize {
  return <usize>load<u32>(node, sizeof<T>());
}

function child<T>(node: usize): usize {
  return <usize>load<u32>(node, sizeof<T>() + 4);
}

function meta<T>(node: usize): u32 {
  if (sizeof<T>() == 4) return load<u32>(node, META);
  return load<u32>(<usize>layout.metas + ((node - <usize>layout.nodes) >> 2));
}

function leafOf<T>(node: usize): u32 {
  return meta<T>(node) >> 3;
}

/** What a step must look at, chosen when the kernel is compiled: each looks at more than the one before. */
class Plain {}
class Missing {}
class Zeros {}
class Categories {}

/**
 * One step down a tree, without a branch: masks of ones or zeros choose, since a `select` may be compiled to a jump.
 */
function step<T, M>(node: usize, row: usize): usize {
  const at = row + feature<T>(node);
  const value = load<T>(at);
  let right = <u32>(value > threshold<T>(node));
  if (idof<M>() == idof<Plain>()) return child<T>(node) + ((<usize>right) << 4);
  const flags = meta<T>(node);
  let missing = <u32>(value != value);
  if (idof<M>() == idof<Missing>()) {
    return child<T>(node) + <usize>((right | (missing & flags)) << 4);
  }
  if (idof<M>() == idof<Categories>()) {
    const isSet = -((flags >> 2) & 1);
    const none = layout.emptySet;
    const set = <usize>(none ^ ((load<u32>(node) ^ none) & isSet));
    const outside = ~isMember(load<u32>(at + <usize>layout.codes), set) & 1;
    right = (right & ~isSet) | (outside & isSet);
  }
  missing |= (<u32>(abs<f64>(<f64>value) <= layout.zero)) & (flags >> 1);
  const isMissing = -missing;
  return child<T>(node) + <usize>(((right & ~isMissing) | (flags & isMissing & 1)) << 4);
}

/** Whether a category is in the set at `set`, in bit 0: the number of the set's words, the words, a word that is 0. */
function isMember(code: u32, set: usize): u32 {
  const words = load<i32>(set);
  const beyond = <i32>(code >> 5) - words;
  const word = words + (beyond & (beyond >> 31));
  return load<u32>(set + ((<usize>word) << 2), 4) >> (code & 31);
}

/** Writes the category that each number of `count` rows is, beside them; what is none becomes one that is in no set. */
function findCodes<T>(count: u32): void {
  const end = <usize>(layout.rows + count * layout.stride);
  for (let at = <usize>layout.rows; at < end; at += sizeof<T>()) {
    const value = <f64>load<T>(at);
    const isCategory = value > layout.leastCategory && value < 2147483648.0;
    store<u32>(at + <usize>layout.codes, isCategory ? <u32>value : u32.MAX_VALUE);
  }
}

/** Answers one row: eight trees in flight, sorted so that trees in flight are about equally deep. */
function answerRow<T>(row: u32, found: u32, wanted: u32): void {
  const at = <usize>(layout.rows + row * layout.stride);
  const plain = found & HAS_ZERO ? layout.plain : layout.plainOrZero;
  if (found & HAS_MISSING) walkTrees<T, Missing>(at, 0, plain);
  else walkTrees<T, Plain>(at, 0, plain);
  walkTrees<T, Zeros>(at, plain, layout.plainOrZero);
  walkTrees<T, Categories>(at, layout.plainOrZero, layout.trees);
  if (wanted & WANT_SCORES) {
    if (layout.narrowSums) sumRow<f32>(row);
    else sumRow<f64>(row);
  }
  if (wanted & WANT_LEAVES) {
    const leaves = layout.leaves + ((row * layout.trees) << 2);
    for (let tree: u32 = 0; tree < layout.trees; tree++) {
      const leaf = load<u32>(<usize>(layout.reached + (tree << 2)));
      store<u32>(
        <usize>(leaves + (tree << 2)),
        load<u32>(<usize>(layout.leafNumbers + (leaf << 2))),
      );
    }
  }
}

function put(walk: u32, leaf: u32): void {
  store<u32>(<usize>(layout.reached + (walk << 2)), leaf);
}

/** Walks the trees of `sorted` from the one to before the other. */
function walkTrees<T, M>(row: usize, from: u32, to: u32): void {
  let i = from;
  for (; i + 8 <= to; i += 8) {
    const entry = <usize>(layout.sorted + (i << 3));
    const group = <usize>(layout.groupDepths + ((i >> 3) << 2));
    // Eight trees from any place lie in two groups.
    const steps = i & 7 ? max<u32>(load<u32>(group), load<u32>(group, 4)) : load<u32>(group);
    let a = <usize>load<u32>(entry);
    let b = <usize>load<u32>(entry, 8);
    let c = <usize>load<u32>(entry, 16);
    let d = <usize>load<u32>(entry, 24);
    let e = <usize>load<u32>(entry, 32);
    let f = <usize>load<u32>(entry, 40);
    let g = <usize>load<u32>(entry, 48);
    let h = <usize>load<u32>(entry, 56);
    for (let k: u32 = 0; k < steps; k++) {
      a = step<T, M>(a, row);
      b = step<T, M>(b, row);
      c = step<T, M>(c, row);
      d = step<T, M>(d, row);
      e = step<T, M>(e, row);
      f = step<T, M>(f, row);
      g = step<T, M>(g, row);
      h = step<T, M>(h, row);
    }
    put(load<u32>(entry, 4), leafOf<T>(a));
    put(load<u32>(entry, 12), leafOf<T>(b));
    put(load<u32>(entry, 20), leafOf<T>(c));
    put(load<u32>(entry, 28), leafOf<T>(d));
    put(load<u32>(entry, 36), leafOf<T>(e));
    put(load<u32>(entry, 44), leafOf<T>(f));
    put(load<u32>(entry, 52), leafOf<T>(g));
    put(load<u32>(entry, 60), leafOf<T>(h));
  }
  for (; i < to; i++) {
    const entry = <usize>(layout.sorted + (i << 3));
    let node = <usize>load<u32>(entry);
    while (child<T>(node) != node) node = step<T, M>(node, row);
    put(load<u32>(entry, 4), leafOf<T>(node));
  }
}

/** Adds what the trees say of one row, in their order. */
function sumRow<S>(row: u32): void {
  const sums = <usize>(layout.scores + row * layout.columns * sizeof<S>());
  const values = <usize>layout.values;
  const last = <usize>(layout.reached + (layout.trees << 2));
  if (layout.columns == 1) {
    let sum = load<S>(sums);
    for (let at = <usize>layout.reached; at < last; at += 4) {
      sum += load<S>(values + <usize>load<u32>(at) * sizeof<S>());
    }
    store<S>(sums, sum);
  } else if (layout.width == 1) {
    let column = <usize>layout.treeColumns;
    for (let at = <usize>layout.reached; at < last; at += 4) {
      const to = sums + <usize>load<u32>(column) * sizeof<S>();
      store<S>(to, load<S>(to) + load<S>(values + <usize>load<u32>(at) * sizeof<S>()));
      column += 4;
    }
  } else {
    for (let at = <usize>layout.reached; at < last; at += 4) addVector<S>(sums, load<u32>(at));
  }
}

function addVector<S>(sums: usize, leaf: u32): void {
  const from = <usize>(layout.values + leaf * layout.width * sizeof<S>());
  const bytes = <usize>layout.width * sizeof<S>();
  for (let at: usize = 0; at < bytes; at += sizeof<S>()) {
    store<S>(sums + at, load<S>(sums + at) + load<S>(from + at));
  }
}

/** Answers eight rows or more: one tree after the other, eight rows in flight. */
function answerBlock<T>(count: u32, found: u32, wanted: u32): void {
  for (let tree: u32 = 0; tree < layout.trees; tree++) {
    const root = <usize>load<u32>(<usize>(layout.roots + (tree << 2)));
    const depth = load<u32>(<usize>(layout.depths + (tree << 2)));
    const kind = load<u32>(<usize>(layout.kinds + (tree << 2)));
    if (kind == 2) walkRows<T, Categories>(root, depth, count);
    else if (kind == 1 && found & HAS_ZERO) walkRows<T, Zeros>(root, depth, count);
    else if (found & HAS_MISSING) walkRows<T, Missing>(root, depth, count);
    else walkRows<T, Plain>(root, depth, count);
    if (wanted & WANT_SCORES) {
      if (layout.narrowSums) sumBlock<f32>(tree, count);
      else sumBlock<f64>(tree, count);
    }
    if (wanted & WANT_LEAVES) putLeaves(tree, count);
  }
}

/** Below so many steps nobody looks whether all have arrived. */
const SURE_STEPS: u32 = 8;

function walkRows<T, M>(root: usize, depth: u32, count: u32): void {
  const stride = <usize>layout.stride;
  const sure = depth > SURE_STEPS + 1 ? SURE_STEPS : depth;
  let row = <usize>layout.rows;
  let i: u32 = 0;
  for (; i + 8 <= count; i += 8) {
    const row1 = row + stride;
    const row2 = row1 + stride;
    const row3 = row2 + stride;
    const row4 = row3 + stride;
    const row5 = row4 + stride;
    const row6 = row5 + stride;
    const row7 = row6 + stride;
    let a = root;
    let b = root;
    let c = root;
    let d = root;
    let e = root;
    let f = root;
    let g = root;
    let h = root;
    for (let k: u32 = 0; k < sure; k++) {
      a = step<T, M>(a, row);
      b = step<T, M>(b, row1);
      c = step<T, M>(c, row2);
      d = step<T, M>(d, row3);
      e = step<T, M>(e, row4);
      f = step<T, M>(f, row5);
      g = step<T, M>(g, row6);
      h = step<T, M>(h, row7);
    }
    for (let k = sure; k < depth; k++) {
      const nextA = step<T, M>(a, row);
      const nextB = step<T, M>(b, row1);
      const nextC = step<T, M>(c, row2);
      const nextD = step<T, M>(d, row3);
      const nextE = step<T, M>(e, row4);
      const nextF = step<T, M>(f, row5);
      const nextG = step<T, M>(g, row6);
      const nextH = step<T, M>(h, row7);
      const moved =
        (a ^ nextA) |
        (b ^ nextB) |
        (c ^ nextC) |
        (d ^ nextD) |
        (e ^ nextE) |
        (f ^ nextF) |
        (g ^ nextG) |
        (h ^ nextH);
      if (!moved) break;
      a = nextA;
      b = nextB;
      c = nextC;
      d = nextD;
      e = nextE;
      f = nextF;
      g = nextG;
      h = nextH;
    }
    put(i, leafOf<T>(a));
    put(i + 1, leafOf<T>(b));
    put(i + 2, leafOf<T>(c));
    put(i + 3, leafOf<T>(d));
    put(i + 4, leafOf<T>(e));
    put(i + 5, leafOf<T>(f));
    put(i + 6, leafOf<T>(g));
    put(i + 7, leafOf<T>(h));
    row = row7 + stride;
  }
  for (; i < count; i++) {
    let node = root;
    while (child<T>(node) != node) node = step<T, M>(node, row);
    put(i, leafOf<T>(node));
    row += stride;
  }
}

/** Adds what one tree says of each row. */
function sumBlock<S>(tree: u32, count: u32): void {
  const bytes = <usize>layout.columns * sizeof<S>();
  const last = <usize>(layout.reached + (count << 2));
  let to = <usize>layout.scores;
  if (layout.width == 1) {
    const values = <usize>layout.values;
    to += <usize>load<u32>(<usize>(layout.treeColumns + (tree << 2))) * sizeof<S>();
    for (let at = <usize>layout.reached; at < last; at += 4) {
      store<S>(to, load<S>(to) + load<S>(values + <usize>load<u32>(at) * sizeof<S>()));
      to += bytes;
    }
  } else {
    for (let at = <usize>layout.reached; at < last; at += 4) {
      addVector<S>(to, load<u32>(at));
      to += bytes;
    }
  }
}

/** Writes down which leaf of one tree each row reached. */
function putLeaves(tree: u32, count: u32): void {
  const numbers = <usize>layout.leafNumbers;
  const last = <usize>(layout.reached + (count << 2));
  let to = <usize>(layout.leaves + (tree << 2));
  for (let at = <usize>layout.reached; at < last; at += 4) {
    store<u32>(to, load<u32>(numbers + ((<usize>load<u32>(at)) << 2)));
    to += (<usize>layout.trees) << 2;
  }
}
