/** Where the coefficients of a block stand in their order from low to high. */
export const ZIGZAG = Uint8Array.from([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
  13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52,
  45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
]);

const work = new Int32Array(64);

/**
 * The pixels of a block: its coefficients times their quantisers, transformed as libjpeg's `jpeg_idct_islow` does (jidctint.c, of
 * Loeffler, Ligtenberg and Moschytz), so that they are the same to the bit.
 */
export function blockPixels(
  coefficients: Int16Array,
  from: number,
  quantisers: Uint16Array,
  into: Uint8Array,
  at: number,
  stride: number,
): void {
  for (let i = 0; i < 64; i++) work[i] = Math.imul(coefficients[from + i] ?? 0, quantisers[i] ?? 0);
  for (let column = 0; column < 8; column++) transform(column, 8, 11);
  for (let row = 0; row < 8; row++) {
    transform(row * 8, 1, 18);
    for (let i = 0; i < 8; i++) {
      const value = (work[row * 8 + i] ?? 0) + 128;
      into[at + row * stride + i] = value < 0 ? 0 : value > 255 ? 255 : value;
    }
  }
}

function transform(at: number, step: number, shift: number): void {
  const value = (i: number) => work[at + i * step] ?? 0;
  const round = 1 << (shift - 1);
  const even = Math.imul(value(2) + value(6), 4433);
  const e2 = even - Math.imul(value(6), 15137);
  const e3 = even + Math.imul(value(2), 6270);
  const e0 = (value(0) + value(4)) << 13;
  const e1 = (value(0) - value(4)) << 13;
  const [s0, s3, s1, s2] = [e0 + e3, e0 - e3, e1 + e2, e1 - e2];
  const z5 = Math.imul(value(7) + value(3) + value(5) + value(1), 9633);
  const z1 = Math.imul(value(7) + value(1), -7373);
  const z2 = Math.imul(value(5) + value(3), -20995);
  const z3 = Math.imul(value(7) + value(3), -16069) + z5;
  const z4 = Math.imul(value(5) + value(1), -3196) + z5;
  const o0 = Math.imul(value(7), 2446) + z1 + z3;
  const o1 = Math.imul(value(5), 16819) + z2 + z4;
  const o2 = Math.imul(value(3), 25172) + z2 + z3;
  const o3 = Math.imul(value(1), 12299) + z1 + z4;
  work[at] = (s0 + o3 + round) >> shift;
  work[at + step] = (s1 + o2 + round) >> shift;
  work[at + 2 * step] = (s2 + o1 + round) >> shift;
  work[at + 3 * step] = (s3 + o0 + round) >> shift;
  work[at + 4 * step] = (s3 - o0 + round) >> shift;
  work[at + 5 * step] = (s2 - o1 + round) >> shift;
  work[at + 6 * step] = (s1 - o2 + round) >> shift;
  work[at + 7 * step] = (s0 - o3 + round) >> shift;
}

/** What the fast transform multiplies quantisers by, in 14 bits (jddctmgr.c). */
const SCALES = [16384, 22725, 21407, 19266, 16384, 12873, 8867, 4520];

/** Quantisers for {@link fastBlockPixels}. */
export function fastQuantisers(quantisers: Uint16Array): Int32Array {
  return Int32Array.from(quantisers, (value, i) => {
    // The table of libjpeg is the product of these, rounded.
    const scale = Math.round(((SCALES[i >> 3] ?? 0) * (SCALES[i & 7] ?? 0)) / 16384);
    return (Math.imul(value, scale) + 2048) >> 12;
  });
}

/** The same as {@link blockPixels} as libjpeg's `jpeg_idct_ifast` does it (jidctfst.c, of Arai, Agui and Nakajima). */
export function fastBlockPixels(
  coefficients: Int16Array,
  from: number,
  quantisers: Int32Array,
  into: Uint8Array,
  at: number,
  stride: number,
): void {
  for (let i = 0; i < 64; i++) work[i] = Math.imul(coefficients[from + i] ?? 0, quantisers[i] ?? 0);
  for (let column = 0; column < 8; column++) fastTransform(column, 8);
  for (let row = 0; row < 8; row++) {
    fastTransform(row * 8, 1);
    for (let i = 0; i < 8; i++) {
      const value = ((work[row * 8 + i] ?? 0) >> 5) + 128;
      into[at + row * stride + i] = value < 0 ? 0 : value > 255 ? 255 : value;
    }
  }
}

function fastTransform(at: number, step: number): void {
  const value = (i: number) => work[at + i * step] ?? 0;
  const times = (x: number, factor: number) => Math.imul(x, factor) >> 8;
  const t13 = value(2) + value(6);
  const t12 = times(value(2) - value(6), 362) - t13;
  const [t10, t11] = [value(0) + value(4), value(0) - value(4)];
  const [e0, e3, e1, e2] = [t10 + t13, t10 - t13, t11 + t12, t11 - t12];
  const [z13, z10] = [value(5) + value(3), value(5) - value(3)];
  const [z11, z12] = [value(1) + value(7), value(1) - value(7)];
  const z5 = times(z10 + z12, 473);
  const o7 = z11 + z13;
  const o6 = times(z10, -669) + z5 - o7;
  const o5 = times(z11 - z13, 362) - o6;
  const o4 = times(z12, 277) - z5 + o5;
  work[at] = e0 + o7;
  work[at + step] = e1 + o6;
  work[at + 2 * step] = e2 + o5;
  work[at + 3 * step] = e3 - o4;
  work[at + 4 * step] = e3 + o4;
  work[at + 5 * step] = e2 - o5;
  work[at + 6 * step] = e1 - o6;
  work[at + 7 * step] = e0 - o7;
}

/** One colour of a picture, `stride` bytes a row. */
export interface Plane {
  width: number;
  height: number;
  stride: number;
  data: Uint8Array;
}

/** A plane `across` and `down` times as large, as libjpeg's fancy upsampling makes it (jdsample.c of libjpeg-turbo 2.1). */
export function enlarged(plane: Plane, across: number, down: number): Plane {
  if (across === 1 && down === 1) return plane;
  const wide = across === 2 && plane.width > 2;
  if (wide && down === 2) return bothWays(plane);
  if (wide && down === 1) return sideways(plane);
  if (across === 1 && down === 2) return downwards(plane);
  const large = emptyPlane(plane, across, down);
  for (let y = 0; y < large.height; y++)
    for (let x = 0; x < large.width; x++)
      large.data[y * large.stride + x] =
        plane.data[Math.floor(y / down) * plane.stride + Math.floor(x / across)] ?? 0;
  return large;
}

function emptyPlane({ width, height }: Plane, across: number, down: number): Plane {
  const stride = width * across;
  const rows = height * down;
  return { width: stride, height: rows, stride, data: new Uint8Array(stride * rows) };
}

function sideways(plane: Plane): Plane {
  const large = emptyPlane(plane, 2, 1);
  for (let y = 0; y < plane.height; y++) {
    const pixel = (x: number) => plane.data[y * plane.stride + x] ?? 0;
    const at = y * large.stride;
    for (let x = 0; x < plane.width; x++) {
      const own = pixel(x);
      large.data[at + 2 * x] = x === 0 ? own : (own * 3 + pixel(x - 1) + 1) >> 2;
      large.data[at + 2 * x + 1] = x === plane.width - 1 ? own : (own * 3 + pixel(x + 1) + 2) >> 2;
    }
  }
  return large;
}

function downwards(plane: Plane): Plane {
  const large = emptyPlane(plane, 1, 2);
  for (let y = 0; y < large.height; y++) {
    const row = y >> 1;
    const other = Math.min(plane.height - 1, Math.max(0, y & 1 ? row + 1 : row - 1));
    for (let x = 0; x < plane.width; x++) {
      const sum =
        (plane.data[row * plane.stride + x] ?? 0) * 3 + (plane.data[other * plane.stride + x] ?? 0);
      large.data[y * large.stride + x] = (sum + 1 + (y & 1)) >> 2;
    }
  }
  return large;
}

function bothWays(plane: Plane): Plane {
  const large = emptyPlane(plane, 2, 2);
  const { width } = plane;
  for (let y = 0; y < large.height; y++) {
    const row = y >> 1;
    const other = Math.min(plane.height - 1, Math.max(0, y & 1 ? row + 1 : row - 1));
    const sum = (x: number) =>
      (plane.data[row * plane.stride + x] ?? 0) * 3 + (plane.data[other * plane.stride + x] ?? 0);
    const at = y * large.stride;
    for (let x = 0; x < width; x++) {
      const own = sum(x);
      large.data[at + 2 * x] = x === 0 ? (own * 4 + 8) >> 4 : (own * 3 + sum(x - 1) + 8) >> 4;
      large.data[at + 2 * x + 1] =
        x === width - 1 ? (own * 4 + 7) >> 4 : (own * 3 + sum(x + 1) + 7) >> 4;
    }
  }
  return large;
}
