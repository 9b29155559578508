/* 64-bit numbers as two halves of 32 bits: BigInt is ten times slower here. A result lies in `low` and `high`. */
let low = 0;
let high = 0;

/** The halves of the last hash. */
export function lastHash(): { low: number; high: number } {
  return { low: low >>> 0, high: high >>> 0 };
}

interface Word {
  l: number;
  h: number;
}

function word(l: number, h: number): Word {
  return { l: l | 0, h: h | 0 };
}

function add(a: Word, b: Word): Word {
  const l = (a.l >>> 0) + (b.l >>> 0);
  return { l: l | 0, h: (a.h + b.h + (l > 0xffff_ffff ? 1 : 0)) | 0 };
}

function xor(a: Word, b: Word): Word {
  return { l: a.l ^ b.l, h: a.h ^ b.h };
}

/** The upper half of the product of two unsigned numbers of 32 bits. */
function upper(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const cross = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (cross % 0x1_0000);
  return aHigh * bHigh + Math.floor(cross / 0x1_0000) + Math.floor(other / 0x1_0000);
}

function multiply(a: Word, b: Word): Word {
  const h = (upper(a.l, b.l) + Math.imul(a.l, b.h) + Math.imul(a.h, b.l)) | 0;
  return { l: Math.imul(a.l, b.l), h };
}

/** Turns right by 1 to 63 bits. */
function rotate({ l, h }: Word, bits: number): Word {
  if (bits === 32) return { l: h, h: l };
  const [first, second] = bits > 32 ? [h, l] : [l, h];
  const n = bits & 31;
  return {
    l: (first >>> n) | (second << (32 - n)),
    h: (second >>> n) | (first << (32 - n)),
  };
}

/** x ^ (x >>> 47) */
function shiftMix({ l, h }: Word): Word {
  return { l: l ^ (h >>> 15), h };
}

const K0 = word(0x97cb3127, 0xc3a5c85c);
const K1 = word(0xbe98f273, 0xb492b66f);
const K2 = word(0x2f90404f, 0x9ae16a3b);

function fetch64(bytes: Uint8Array, at: number): Word {
  return { l: fetch32(bytes, at), h: fetch32(bytes, at + 4) };
}

function fetch32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  );
}

function hash16(u: Word, v: Word, mul: Word): Word {
  const a = shiftMix(multiply(xor(u, v), mul));
  const b = shiftMix(multiply(xor(v, a), mul));
  return multiply(b, mul);
}

function plus(a: Word, n: number): Word {
  return add(a, word(n, 0));
}

function upTo16(bytes: Uint8Array): Word {
  const { length } = bytes;
  if (length >= 8) {
    const mul = plus(K2, length * 2);
    const a = add(fetch64(bytes, 0), K2);
    const b = fetch64(bytes, length - 8);
    const c = add(multiply(rotate(b, 37), mul), a);
    const d = multiply(add(rotate(a, 25), b), mul);
    return hash16(c, d, mul);
  }
  if (length >= 4) {
    const mul = plus(K2, length * 2);
    const a = fetch32(bytes, 0);
    const u = add(word(length, 0), word(a << 3, a >>> 29));
    return hash16(u, word(fetch32(bytes, length - 4), 0), mul);
  }
  if (length > 0) {
    const y = (bytes[0] ?? 0) + ((bytes[length >> 1] ?? 0) << 8);
    const z = length + ((bytes[length - 1] ?? 0) << 2);
    const mixed = xor(multiply(word(y, 0), K2), multiply(word(z, 0), K0));
    return multiply(shiftMix(mixed), K2);
  }
  return K2;
}

function upTo32(bytes: Uint8Array): Word {
  const { length } = bytes;
  const mul = plus(K2, length * 2);
  const a = multiply(fetch64(bytes, 0), K1);
  const b = fetch64(bytes, 8);
  const c = multiply(fetch64(bytes, length - 8), mul);
  const d = multiply(fetch64(bytes, length - 16), K2);
  const u = add(add(rotate(add(a, b), 43), rotate(c, 30)), d);
  return hash16(u, add(add(a, rotate(add(b, K2), 18)), c), mul);
}

function upTo64(bytes: Uint8Array): Word {
  const { length } = bytes;
  const mul = plus(K2, length * 2);
  const a = multiply(fetch64(bytes, 0), K2);
  const b = fetch64(bytes, 8);
  const c = multiply(fetch64(bytes, length - 8), mul);
  const d = multiply(fetch64(bytes, length - 16), K2);
  const y = add(add(rotate(add(a, b), 43), rotate(c, 30)), d);
  const z = hash16(y, add(add(a, rotate(add(b, K2), 18)), c), mul);
  const e = multiply(fetch64(bytes, 16), mul);
  const f = fetch64(bytes, 24);
  const g = multiply(add(y, fetch64(bytes, length - 32)), mul);
  const h = multiply(add(z, fetch64(bytes, length - 24)), mul);
  const u = add(add(rotate(add(e, f), 43), rotate(g, 30)), h);
  return hash16(u, add(add(e, rotate(add(f, a), 18)), g), mul);
}

function weak(bytes: Uint8Array, at: number, seedA: Word, seedB: Word): [Word, Word] {
  const [w, x, y, z] = [0, 8, 16, 24].map((n) => fetch64(bytes, at + n)) as [
    Word,
    Word,
    Word,
    Word,
  ];
  let a = add(seedA, w);
  const b = rotate(add(add(seedB, a), z), 21);
  const c = a;
  a = add(add(a, x), y);
  return [add(a, z), add(add(b, rotate(a, 44)), c)];
}

function long(bytes: Uint8Array): Word {
  const seed = word(81, 0);
  let x = seed;
  let y = plus(multiply(seed, K1), 113);
  let z = multiply(shiftMix(plus(multiply(y, K2), 113)), K2);
  let v: [Word, Word] = [word(0, 0), word(0, 0)];
  let w: [Word, Word] = [word(0, 0), word(0, 0)];
  x = add(multiply(x, K2), fetch64(bytes, 0));
  const end = Math.floor((bytes.length - 1) / 64) * 64;
  const last = bytes.length - 64;
  let at = 0;
  do {
    x = multiply(rotate(add(add(add(x, y), v[0]), fetch64(bytes, at + 8)), 37), K1);
    y = multiply(rotate(add(add(y, v[1]), fetch64(bytes, at + 48)), 42), K1);
    x = xor(x, w[1]);
    y = add(add(y, v[0]), fetch64(bytes, at + 40));
    z = multiply(rotate(add(z, w[0]), 33), K1);
    v = weak(bytes, at, multiply(v[1], K1), add(x, w[0]));
    w = weak(bytes, at + 32, add(z, w[1]), add(y, fetch64(bytes, at + 16)));
    [z, x] = [x, z];
    at += 64;
  } while (at !== end);
  const mul = add(K1, word((z.l & 0xff) << 1, 0));
  at = last;
  w[0] = plus(w[0], (bytes.length - 1) & 63);
  v[0] = add(v[0], w[0]);
  w[0] = add(w[0], v[0]);
  x = multiply(rotate(add(add(add(x, y), v[0]), fetch64(bytes, at + 8)), 37), mul);
  y = multiply(rotate(add(add(y, v[1]), fetch64(bytes, at + 48)), 42), mul);
  x = xor(x, multiply(w[1], word(9, 0)));
  y = add(add(y, multiply(v[0], word(9, 0))), fetch64(bytes, at + 40));
  z = multiply(rotate(add(z, w[0]), 33), mul);
  v = weak(bytes, at, multiply(v[1], mul), add(x, w[0]));
  w = weak(bytes, at + 32, add(z, w[1]), add(y, fetch64(bytes, at + 16)));
  [z, x] = [x, z];
  const first = add(add(hash16(v[0], w[0], mul), multiply(shiftMix(y), K0)), z);
  return hash16(first, add(hash16(v[1], w[1], mul), x), mul);
}

function keep(result: Word): void {
  low = result.l;
  high = result.h;
}

/** FarmHash's Fingerprint64 (farmhashna::Hash64 of farmhash.cc 1.1), which never changes; the answer is {@link lastHash}. */
export function fingerprint64(bytes: Uint8Array): void {
  const { length } = bytes;
  if (length <= 16) keep(upTo16(bytes));
  else if (length <= 32) keep(upTo32(bytes));
  else keep(length <= 64 ? upTo64(bytes) : long(bytes));
}

/** TensorFlow's FingerprintCat64 (core/platform/fingerprint.h): one fingerprint of two. */
export function combineFingerprints(first: bigint, second: bigint): bigint {
  const mul = 0xc6a4a7935bd1e995n;
  const wrap = (value: bigint) => BigInt.asUintN(64, value);
  const mix = (value: bigint) => value ^ (value >> 47n);
  const result = wrap(mix(wrap(second * mul)) * mul) ^ first ^ mul;
  return mix(wrap(mix(wrap(result * mul)) * mul));
}

/** TensorFlow's Hash64 (core/platform/hash.cc), a MurmurHash64A of a seed of its own; the answer is {@link lastHash}. */
export function murmur64(bytes: Uint8Array): void {
  const m = word(0x5bd1e995, 0xc6a4a793);
  const { length } = bytes;
  let h = xor(word(0xcafcaffe, 0xdec), multiply(word(length, 0), m));
  const whole = length - (length % 8);
  for (let at = 0; at < whole; at += 8) {
    const k = multiply(shiftMix(multiply(fetch64(bytes, at), m)), m);
    h = multiply(xor(h, k), m);
  }
  if (length > whole) h = multiply(xor(h, fetch64(bytes, whole)), m);
  keep(shiftMix(multiply(shiftMix(h), m)));
}

/** SipHash-2-4 (Aumasson and Bernstein 2012) with a key of two numbers of 64 bits; the answer is {@link lastHash}. */
export function sipHash(bytes: Uint8Array, key: readonly [bigint, bigint]): void {
  const [k0, k1] = key.map((half) =>
    word(Number(half & 0xffff_ffffn), Number((half >> 32n) & 0xffff_ffffn)),
  ) as [Word, Word];
  let v0 = xor(k0, word(0x70736575, 0x736f6d65));
  let v1 = xor(k1, word(0x6e646f6d, 0x646f7261));
  let v2 = xor(k0, word(0x6e657261, 0x6c796765));
  let v3 = xor(k1, word(0x79746573, 0x74656462));
  const round = () => {
    v0 = add(v0, v1);
    v2 = add(v2, v3);
    v1 = xor(rotate(v1, 51), v0);
    v3 = xor(rotate(v3, 48), v2);
    v0 = rotate(v0, 32);
    v2 = add(v2, v1);
    v0 = add(v0, v3);
    v1 = xor(rotate(v1, 47), v2);
    v3 = xor(rotate(v3, 43), v0);
    v2 = rotate(v2, 32);
  };
  const { length } = bytes;
  const whole = length - (length % 8);
  for (let at = 0; at <= whole; at += 8) {
    const m = fetch64(bytes, at);
    if (at === whole) m.h |= length << 24;
    v3 = xor(v3, m);
    round();
    round();
    v0 = xor(v0, m);
  }
  v2 = xor(v2, word(0xff, 0));
  for (let i = 0; i < 4; i++) round();
  keep(xor(xor(v0, v1), xor(v2, v3)));
}

/** The last hash modulo `buckets`, which is less than 2^53. */
export function bucketOf(buckets: number): number {
  const l = low >>> 0;
  const h = high >>> 0;
  if (buckets <= 0x1f_ffff) return (((h % buckets) * 0x1_0000_0000 + l) % buckets) | 0;
  return Number(((BigInt(h) << 32n) | BigInt(l)) % BigInt(buckets));
}
