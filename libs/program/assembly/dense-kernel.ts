/**
 * Dense arithmetic in float64, in AssemblyScript: `scripts/build-kernels.mjs` compiles it into
 * `../generated/dense-kernel.ts`, and `../dense.ts` lays out the memory that it reads.
 *
 * A sum runs over the columns from the first to the last, one product (or square) rounded and then added, with no fused
 * operation: what a plain loop gives, to the last bit, whatever the number of rows. Speed comes from four rows and four
 * outputs at once. Weights lie in panels of four outputs: for each column the four numbers side by side.
 */

/** What is added for a column: a choice made when the kernel is compiled. */
class Products {}
class Squares {}

/** `out[row, output] = start[output] + Σ x[row, column] · weight[column, output]`; rows of `out` are `panels · 4` long. */
export function affine(
  x: usize,
  rows: u32,
  width: u32,
  weights: usize,
  panels: u32,
  start: usize,
  out: usize,
): void {
  sums<Products>(x, rows, width, weights, panels, start, out);
}

/** `out[row, point] = Σ (x[row, column] − point[column])²`, `start` being of zeros. */
export function squares(
  x: usize,
  rows: u32,
  width: u32,
  points: usize,
  panels: u32,
  start: usize,
  out: usize,
): void {
  sums<Squares>(x, rows, width, points, panels, start, out);
}

function sums<O>(
  x: usize,
  rows: u32,
  width: u32,
  weights: usize,
  panels: u32,
  start: usize,
  out: usize,
): void {
  const rowBytes = (<usize>width) << 3;
  const outBytes = (<usize>panels) << 5;
  let row: u32 = 0;
  for (; row + 4 <= rows; row += 4) {
    for (let panel: usize = 0; panel < <usize>panels; panel++) {
      fourRows<O>(
        x,
        rowBytes,
        weights + ((panel * rowBytes) << 2),
        start + (panel << 5),
        out + (panel << 5),
        outBytes,
      );
    }
    x += rowBytes << 2;
    out += outBytes << 2;
  }
  for (; row < rows; row++) {
    let panel: usize = 0;
    for (; panel + 2 <= <usize>panels; panel += 2) {
      twoPanels<O>(
        x,
        rowBytes,
        weights + ((panel * rowBytes) << 2),
        start + (panel << 5),
        out + (panel << 5),
      );
    }
    if (panel < <usize>panels) {
      onePanel<O>(
        x,
        rowBytes,
        weights + ((panel * rowBytes) << 2),
        start + (panel << 5),
        out + (panel << 5),
      );
    }
    x += rowBytes;
    out += outBytes;
  }
}

function term<O>(x: v128, weight: v128): v128 {
  if (idof<O>() == idof<Products>()) return f64x2.mul(x, weight);
  const difference = f64x2.sub(x, weight);
  return f64x2.mul(difference, difference);
}

function fourRows<O>(
  x: usize,
  rowBytes: usize,
  weights: usize,
  start: usize,
  out: usize,
  outBytes: usize,
): void {
  let a0 = v128.load(start);
  let a1 = v128.load(start, 16);
  let b0 = a0;
  let b1 = a1;
  let c0 = a0;
  let c1 = a1;
  let d0 = a0;
  let d1 = a1;
  const xb = x + rowBytes;
  const xc = xb + rowBytes;
  const xd = xc + rowBytes;
  for (let at: usize = 0; at < rowBytes; at += 8) {
    const w0 = v128.load(weights);
    const w1 = v128.load(weights, 16);
    const a = v128.load64_splat(x + at);
    a0 = f64x2.add(a0, term<O>(a, w0));
    a1 = f64x2.add(a1, term<O>(a, w1));
    const b = v128.load64_splat(xb + at);
    b0 = f64x2.add(b0, term<O>(b, w0));
    b1 = f64x2.add(b1, term<O>(b, w1));
    const c = v128.load64_splat(xc + at);
    c0 = f64x2.add(c0, term<O>(c, w0));
    c1 = f64x2.add(c1, term<O>(c, w1));
    const d = v128.load64_splat(xd + at);
    d0 = f64x2.add(d0, term<O>(d, w0));
    d1 = f64x2.add(d1, term<O>(d, w1));
    weights += 32;
  }
  v128.store(out, a0);
  v128.store(out, a1, 16);
  out += outBytes;
  v128.store(out, b0);
  v128.store(out, b1, 16);
  out += outBytes;
  v128.store(out, c0);
  v128.store(out, c1, 16);
  out += outBytes;
  v128.store(out, d0);
  v128.store(out, d1, 16);
}

function twoPanels<O>(x: usize, rowBytes: usize, weights: usize, start: usize, out: usize): void {
  let a = v128.load(start);
  let b = v128.load(start, 16);
  let c = v128.load(start, 32);
  let d = v128.load(start, 48);
  const second = weights + (rowBytes << 2);
  for (let at: usize = 0; at < rowBytes; at += 8) {
    const value = v128.load64_splat(x + at);
    const to = at << 2;
    a = f64x2.add(a, term<O>(value, v128.load(weights + to)));
    b = f64x2.add(b, term<O>(value, v128.load(weights + to, 16)));
    c = f64x2.add(c, term<O>(value, v128.load(second + to)));
    d = f64x2.add(d, term<O>(value, v128.load(second + to, 16)));
  }
  v128.store(out, a);
  v128.store(out, b, 16);
  v128.store(out, c, 32);
  v128.store(out, d, 48);
}

function onePanel<O>(x: usize, rowBytes: usize, weights: usize, start: usize, out: usize): void {
  let a = v128.load(start);
  let b = v128.load(start, 16);
  for (let at: usize = 0; at < rowBytes; at += 8) {
    const value = v128.load64_splat(x + at);
    a = f64x2.add(a, term<O>(value, v128.load(weights + (at << 2))));
    b = f64x2.add(b, term<O>(value, v128.load(weights + (at << 2), 16)));
  }
  v128.store(out, a);
  v128.store(out, b, 16);
}

/** Added to a small number and taken off again it rounds to an integer, which stands in the lowest bits meanwhile. */
const ROUNDER: f64 = 6755399441055744;
const LOG2E: f64 = 1.4426950408889634;
/** The logarithm of 2 in two parts; the first has zeros at its end, so that products with integers are exact. */
const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;
/** Below this e^x is less than every normal number. */
const LEAST: f64 = -708;

/** (e^r − 1 − r) / r² for |r| up to half the logarithm of 2: Taylor's series to r^11, less than a 2^60th off. */
function tail(r: v128): v128 {
  let p = f64x2.splat(1.6059043836821613e-10);
  p = f64x2.add(f64x2.mul(p, r), f64x2.splat(2.08767569878681e-9));
  p = f64x2.add(f64x2.mul(p, r), f64x2.splat(2.505210838544172e-8));
  p = f64x2.add(f64x2.mul(p, r), f64x2.splat(2.755731922398589e-7));
  p = f64x2.add(f64x2.mul(p, r), f64x2.splat(2.7557319223985893e-6));
  p = f64x2.add(f64x2.mul(p, r), f64x2.splat(2.48015873015873e-5));
  p = f64x2.add(f64x2.mul(p, r), f64x2.splat(1.984126984126984e-4));
  p = f64x2.add(f64x2.mul(p, r), f64x2.splat(1.3888888888888889e-3));
  p = f64x2.add(f64x2.mul(p, r), f64x2.splat(8.333333333333333e-3));
  p = f64x2.add(f64x2.mul(p, r), f64x2.splat(4.1666666666666664e-2));
  p = f64x2.add(f64x2.mul(p, r), f64x2.splat(1.6666666666666666e-1));
  return f64x2.add(f64x2.mul(p, r), f64x2.splat(0.5));
}

function remainder(x: v128, n: v128): v128 {
  const high = f64x2.sub(x, f64x2.mul(n, f64x2.splat(LN2_HIGH)));
  return f64x2.sub(high, f64x2.mul(n, f64x2.splat(LN2_LOW)));
}

/** e^(factor · x) in place of each of `count` numbers, `factor · x` not above 0; 0 where it is less than every normal number. */
export function exponentials(from: usize, count: u32, factor: f64): void {
  const end = from + ((<usize>count) << 3);
  for (let at = from; at < end; at += 16) {
    const x = f64x2.mul(v128.load(at), f64x2.splat(factor));
    const rounded = f64x2.add(f64x2.mul(x, f64x2.splat(LOG2E)), f64x2.splat(ROUNDER));
    const r = remainder(x, f64x2.sub(rounded, f64x2.splat(ROUNDER)));
    const power = f64x2.add(f64x2.splat(1), f64x2.add(r, f64x2.mul(f64x2.mul(r, r), tail(r))));
    const scaled = i64x2.add(power, i64x2.shl(rounded, 52));
    v128.store(at, v128.andnot(scaled, f64x2.lt(x, f64x2.splat(LEAST))));
  }
}

/** The hyperbolic tangent in place of each of `count` numbers: (e^2x − 1) / (e^2x + 1), precise near 0 as well. */
export function tangents(from: usize, count: u32): void {
  const end = from + ((<usize>count) << 3);
  for (let at = from; at < end; at += 16) {
    const limited = f64x2.max(f64x2.min(v128.load(at), f64x2.splat(22)), f64x2.splat(-22));
    const x = f64x2.add(limited, limited);
    const rounded = f64x2.add(f64x2.mul(x, f64x2.splat(LOG2E)), f64x2.splat(ROUNDER));
    const r = remainder(x, f64x2.sub(rounded, f64x2.splat(ROUNDER)));
    const less = f64x2.add(r, f64x2.mul(f64x2.mul(r, r), tail(r)));
    const scale = i64x2.add(f64x2.splat(1), i64x2.shl(rounded, 52));
    const lessOne = f64x2.add(f64x2.sub(scale, f64x2.splat(1)), f64x2.mul(scale, less));
    const tangent = f64x2.div(lessOne, f64x2.add(lessOne, f64x2.splat(2)));
    // Zero keeps its sign.
    v128.store(at, v128.bitselect(v128.load(at), tangent, f64x2.eq(x, f64x2.splat(0))));
  }
}

/** The larger of 0 and each of `count` numbers in its place; NaN stays. */
export function positives(from: usize, count: u32): void {
  const end = from + ((<usize>count) << 3);
  for (let at = from; at < end; at += 16) {
    v128.store(at, f64x2.max(v128.load(at), f64x2.splat(0)));
  }
}
