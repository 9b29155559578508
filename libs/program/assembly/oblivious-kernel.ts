/**
 * The kernel for oblivious trees, in AssemblyScript: `scripts/build-kernels.mjs` compiles it into
 * `../generated/oblivious-kernel.ts`, and `../oblivious-layout.ts` lays out the memory that it reads.
 *
 * All nodes of a level ask the same question, so a tree is a list of questions and the leaf's number is the bits of the
 * answers. Each column of the rows is first replaced by the number of its borders that the value is greater than, one byte;
 * then a question is one comparison of bytes, made for 16 rows by one instruction and for 128 rows with one load of the
 * question.
 */

/** What `oblivious-layout.ts` writes at `LAYOUT`; all addresses in bytes. */
@unmanaged
class Layout {
  /** Rows to answer, float32, `stride` bytes apart. */
  rows: u32;
  stride: u32;
  /** Columns of bytes to make: address of the value in the first row, borders, their number, 1 where NaN is the greatest. */
  bins: u32;
  binCount: u32;
  /** Where the bytes go: 128 for each column. */
  bytes: u32;
  /** Scratch: one column of 128 floats. */
  column: u32;
  /** Questions: address of the column of bytes, and what a byte must be at least. */
  splits: u32;
  /** Trees: questions, their number, leaf values, 0. */
  trees: u32;
  treeCount: u32;
  /** Numbers a leaf. */
  columns: u32;
  scores: u32;
  leaves: u32;
  /** Scratch: for four trees, 128 bytes of lower and 128 of upper bits of the leaves' numbers. */
  reached: u32;
}

const LAYOUT: usize = 16;
const layout = changetype<Layout>(LAYOUT);

const WANT_SCORES: u32 = 1;
const WANT_LEAVES: u32 = 2;
const BLOCK: u32 = 128;
/** Up to so many borders, all are compared for several rows at once; above, a row's place among them is searched. */
const SEARCHED: u32 = 48;

/** Answers at most 128 rows. */
export function run(count: u32, wanted: u32): void {
  const groups = (count + 15) >> 4;
  for (let i: u32 = 0; i < layout.binCount; i++) makeBytes(i, count, groups);
  if (wanted & WANT_SCORES) {
    memory.fill(<usize>layout.scores, 0, (<usize>(count * layout.columns)) << 3);
  }
  for (let tree: u32 = 0; tree < layout.treeCount; tree += 4) {
    const some = min<u32>(4, layout.treeCount - tree);
    let shallow: bool = layout.columns == 1 && some == 4;
    for (let k: u32 = 0; k < some; k++) {
      reach(tree + k, k, groups);
      if (depthOf(tree + k) > 8) shallow = false;
    }
    if (wanted & WANT_SCORES) {
      if (shallow) addFour(tree, count);
      else for (let k: u32 = 0; k < some; k++) addOne(tree + k, k, count);
    }
    if (wanted & WANT_LEAVES) {
      for (let k: u32 = 0; k < some; k++) putLeaves(tree + k, k, count);
    }
  }
}

function makeBytes(index: u32, count: u32, groups: u32): void {
  const bin = <usize>(layout.bins + (index << 4));
  const to = <usize>(layout.bytes + index * BLOCK);
  const borders = <usize>load<u32>(bin, 4);
  const length = load<u32>(bin, 8);
  const nanIsGreatest = load<u32>(bin, 12) != 0;
  const column = <usize>layout.column;
  let from = <usize>load<u32>(bin);
  for (let row: u32 = 0; row < count; row++) {
    store<f32>(column + ((<usize>row) << 2), load<f32>(from));
    from += <usize>layout.stride;
  }
  if (length > SEARCHED && groups > 1) {
    if (nanIsGreatest) searchRows<NanGreatest>(to, borders, length, count);
    else searchRows<NanLeast>(to, borders, length, count);
    return;
  }
  for (let group: u32 = 0; group < groups; group++) {
    const at = column + ((<usize>group) << 6);
    const bytes = nanIsGreatest
      ? countBorders<NanGreatest>(at, borders, length)
      : countBorders<NanLeast>(at, borders, length);
    v128.store(to + ((<usize>group) << 4), bytes);
  }
}

/** What a missing value is: a choice made when the kernel is compiled. */
class NanLeast {}
class NanGreatest {}

/** For 16 values, the number of borders that each is greater than. */
function countBorders<N>(values: usize, borders: usize, length: u32): v128 {
  const a = v128.load(values);
  const b = v128.load(values, 16);
  const c = v128.load(values, 32);
  const d = v128.load(values, 48);
  let countA = i32x4.splat(0);
  let countB = i32x4.splat(0);
  let countC = i32x4.splat(0);
  let countD = i32x4.splat(0);
  const end = borders + ((<usize>length) << 2);
  for (let at = borders; at < end; at += 4) {
    const border = v128.load32_splat(at);
    if (isNanGreatest<N>()) {
      countA = i32x4.sub(countA, v128.not(f32x4.le(a, border)));
      countB = i32x4.sub(countB, v128.not(f32x4.le(b, border)));
      countC = i32x4.sub(countC, v128.not(f32x4.le(c, border)));
      countD = i32x4.sub(countD, v128.not(f32x4.le(d, border)));
    } else {
      countA = i32x4.sub(countA, f32x4.gt(a, border));
      countB = i32x4.sub(countB, f32x4.gt(b, border));
      countC = i32x4.sub(countC, f32x4.gt(c, border));
      countD = i32x4.sub(countD, f32x4.gt(d, border));
    }
  }
  return i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_u(countA, countB),
    i16x8.narrow_i32x4_u(countC, countD),
  );
}

function isNanGreatest<N>(): bool {
  return idof<N>() == idof<NanGreatest>();
}

function isGreater<N>(value: f32, border: f32): usize {
  return isNanGreatest<N>() ? <usize>!(value <= border) : <usize>(value > border);
}

/** The same by halving, without a branch, four rows in flight. */
function searchRows<N>(to: usize, borders: usize, length: u32, count: u32): void {
  const column = <usize>layout.column;
  for (let row: usize = 0; row < <usize>count; row += 4) {
    const a = load<f32>(column + (row << 2));
    const b = load<f32>(column + (row << 2), 4);
    const c = load<f32>(column + (row << 2), 8);
    const d = load<f32>(column + (row << 2), 12);
    let atA = borders;
    let atB = borders;
    let atC = borders;
    let atD = borders;
    let left = <usize>length;
    while (left > 1) {
      const half = left >> 1;
      const step = half << 2;
      atA += isGreater<N>(a, load<f32>(atA + step - 4)) * step;
      atB += isGreater<N>(b, load<f32>(atB + step - 4)) * step;
      atC += isGreater<N>(c, load<f32>(atC + step - 4)) * step;
      atD += isGreater<N>(d, load<f32>(atD + step - 4)) * step;
      left -= half;
    }
    store<u8>(to + row, <u8>(((atA - borders) >> 2) + isGreater<N>(a, load<f32>(atA))));
    store<u8>(to + row, <u8>(((atB - borders) >> 2) + isGreater<N>(b, load<f32>(atB))), 1);
    store<u8>(to + row, <u8>(((atC - borders) >> 2) + isGreater<N>(c, load<f32>(atC))), 2);
    store<u8>(to + row, <u8>(((atD - borders) >> 2) + isGreater<N>(d, load<f32>(atD))), 3);
  }
}

function depthOf(tree: u32): u32 {
  return load<u32>(<usize>(layout.trees + (tree << 4)), 4);
}

function valuesOf(tree: u32): usize {
  return <usize>load<u32>(<usize>(layout.trees + (tree << 4)), 8);
}

/** The leaves that the rows reach in one tree, into place `k` of the scratch. */
function reach(tree: u32, k: u32, groups: u32): void {
  const splits = <usize>load<u32>(<usize>(layout.trees + (tree << 4)));
  const depth = depthOf(tree);
  const to = <usize>(layout.reached + (k << 8));
  reachBits(splits, min<u32>(depth, 8), to, groups);
  if (depth > 8) reachBits(splits + 64, depth - 8, to + BLOCK, groups);
}

/** Eight bits of the leaves' numbers at most, the last question first. */
function reachBits(splits: usize, depth: u32, to: usize, groups: u32): void {
  const last = splits + ((<usize>depth) << 3);
  if (groups < 8) {
    for (let group: usize = 0; group < <usize>groups; group++) {
      let bits = i8x16.splat(0);
      for (let at = last; at > splits; at -= 8) {
        const byte = v128.load(<usize>load<u32>(at - 8) + (group << 4));
        const asked = v128.load8_splat(at - 4);
        bits = i8x16.sub(i8x16.add(bits, bits), i8x16.ge_u(byte, asked));
      }
      v128.store(to + (group << 4), bits);
    }
    return;
  }
  let a = i8x16.splat(0);
  let b = a;
  let c = a;
  let d = a;
  let e = a;
  let f = a;
  let g = a;
  let h = a;
  for (let at = last; at > splits; at -= 8) {
    const bytes = <usize>load<u32>(at - 8);
    const asked = v128.load8_splat(at - 4);
    a = i8x16.sub(i8x16.add(a, a), i8x16.ge_u(v128.load(bytes), asked));
    b = i8x16.sub(i8x16.add(b, b), i8x16.ge_u(v128.load(bytes, 16), asked));
    c = i8x16.sub(i8x16.add(c, c), i8x16.ge_u(v128.load(bytes, 32), asked));
    d = i8x16.sub(i8x16.add(d, d), i8x16.ge_u(v128.load(bytes, 48), asked));
    e = i8x16.sub(i8x16.add(e, e), i8x16.ge_u(v128.load(bytes, 64), asked));
    f = i8x16.sub(i8x16.add(f, f), i8x16.ge_u(v128.load(bytes, 80), asked));
    g = i8x16.sub(i8x16.add(g, g), i8x16.ge_u(v128.load(bytes, 96), asked));
    h = i8x16.sub(i8x16.add(h, h), i8x16.ge_u(v128.load(bytes, 112), asked));
  }
  v128.store(to, a);
  v128.store(to, b, 16);
  v128.store(to, c, 32);
  v128.store(to, d, 48);
  v128.store(to, e, 64);
  v128.store(to, f, 80);
  v128.store(to, g, 96);
  v128.store(to, h, 112);
}

/** Adds what four trees with one number a leaf say of each row, in their order. */
function addFour(tree: u32, count: u32): void {
  const valuesA = valuesOf(tree);
  const valuesB = valuesOf(tree + 1);
  const valuesC = valuesOf(tree + 2);
  const valuesD = valuesOf(tree + 3);
  let score = <usize>layout.scores;
  const last = <usize>(layout.reached + count);
  for (let at = <usize>layout.reached; at < last; at++) {
    const sum =
      load<f64>(score) +
      load<f64>(valuesA + ((<usize>load<u8>(at)) << 3)) +
      load<f64>(valuesB + ((<usize>load<u8>(at, 256)) << 3)) +
      load<f64>(valuesC + ((<usize>load<u8>(at, 512)) << 3)) +
      load<f64>(valuesD + ((<usize>load<u8>(at, 768)) << 3));
    store<f64>(score, sum);
    score += 8;
  }
}

function leafAt(at: usize, deep: bool): u32 {
  return deep ? (<u32>load<u8>(at)) | ((<u32>load<u8>(at, 128)) << 8) : <u32>load<u8>(at);
}

/** Adds what one tree says of each row. */
function addOne(tree: u32, k: u32, count: u32): void {
  const values = valuesOf(tree);
  const deep = depthOf(tree) > 8;
  const bytes = (<usize>layout.columns) << 3;
  let score = <usize>layout.scores;
  const first = <usize>(layout.reached + (k << 8));
  for (let at = first; at < first + <usize>count; at++) {
    const from = values + <usize>leafAt(at, deep) * bytes;
    for (let i: usize = 0; i < bytes; i += 8) {
      store<f64>(score + i, load<f64>(score + i) + load<f64>(from + i));
    }
    score += bytes;
  }
}

/** Writes down which leaf of one tree each row reached. */
function putLeaves(tree: u32, k: u32, count: u32): void {
  const deep = depthOf(tree) > 8;
  const first = <usize>(layout.reached + (k << 8));
  let to = <usize>(layout.leaves + (tree << 2));
  for (let at = first; at < first + <usize>count; at++) {
    store<u32>(to, leafAt(at, deep));
    to += (<usize>layout.treeCount) << 2;
  }
}
