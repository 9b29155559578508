/**
 * Hashes of categories, in AssemblyScript: JavaScript has no fast integers of 64 bits. `scripts/build-kernels.mjs` compiles it
 * into `../generated/category-kernel.ts`; `../kernels/category-hash.ts` owns the memory.
 */

const K0: u64 = ((<u64>0xc3a5c85c) << 32) | 0x97cb3127;
const K1: u64 = ((<u64>0xb492b66f) << 32) | 0xbe98f273;
const K2: u64 = ((<u64>0x9ae16a3b) << 32) | 0x2f90404f;
const K3: u64 = ((<u64>0xc949d7c7) << 32) | 0x509e6557;
const K4: u64 = ((<u64>0x9ddfea08) << 32) | 0xeb382d69;
/** What CatBoost combines hashes with. */
const COMBINE: u64 = ((<u64>0x4906ba49) << 32) | 0x4954cb65;

/** The lower half of CityHash64, version 1.0 (Pike and Alakuijala, 2011), of the bytes at an address. */
export function city(at: usize, length: usize): u32 {
  if (length <= 16) return <u32>short(at, length);
  if (length <= 32) return <u32>medium(at, length);
  if (length <= 64) return <u32>long(at, length);
  return <u32>blocks(at, length);
}

/** Combines the hash of each row (64 bits each) with its value (32 bits each, signed). */
export function combine(hashes: usize, values: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    const value = <u64>(<i64>load<i32>(values));
    store<u64>(hashes, COMBINE * (load<u64>(hashes) + COMBINE * value));
    hashes += 8;
    values += 4;
  }
}

function mix(x: u64): u64 {
  return x ^ (x >> 47);
}

function pair(low: u64, high: u64): u64 {
  const a = mix((low ^ high) * K4);
  return mix((high ^ a) * K4) * K4;
}

function short(at: usize, length: usize): u64 {
  if (length > 8) {
    const a = load<u64>(at);
    const b = load<u64>(at + length - 8);
    return pair(a, rotr<u64>(b + <u64>length, <u64>length)) ^ b;
  }
  if (length >= 4) {
    const a = <u64>load<u32>(at);
    return pair(<u64>length + (a << 3), <u64>load<u32>(at + length - 4));
  }
  if (length == 0) return K2;
  const y = <u32>load<u8>(at) + ((<u32>load<u8>(at + (length >> 1))) << 8);
  const z = <u32>length + ((<u32>load<u8>(at + length - 1)) << 2);
  return mix((<u64>y * K2) ^ (<u64>z * K3)) * K2;
}

function medium(at: usize, length: usize): u64 {
  const a = load<u64>(at) * K1;
  const b = load<u64>(at + 8);
  const c = load<u64>(at + length - 8) * K2;
  const d = load<u64>(at + length - 16) * K0;
  return pair(
    rotr<u64>(a - b, 43) + rotr<u64>(c, 30) + d,
    a + rotr<u64>(b ^ K3, 20) - c + <u64>length,
  );
}

function long(at: usize, length: usize): u64 {
  const end = at + length;
  let z = load<u64>(at + 24);
  let a = load<u64>(at) + (<u64>length + load<u64>(end - 16)) * K0;
  let b = rotr<u64>(a + z, 52);
  let c = rotr<u64>(a, 37);
  a += load<u64>(at + 8);
  c += rotr<u64>(a, 7);
  a += load<u64>(at + 16);
  const vFirst = a + z;
  const vSecond = b + rotr<u64>(a, 31) + c;
  a = load<u64>(at + 16) + load<u64>(end - 32);
  z = load<u64>(end - 8);
  b = rotr<u64>(a + z, 52);
  c = rotr<u64>(a, 37);
  a += load<u64>(end - 24);
  c += rotr<u64>(a, 7);
  a += load<u64>(end - 16);
  const wFirst = a + z;
  const wSecond = b + rotr<u64>(a, 31) + c;
  const r = mix((vFirst + wSecond) * K2 + (wFirst + vSecond) * K0);
  return mix(r * K0 + vSecond) * K2;
}

/** The halves of what `weak` answers. */
let first: u64 = 0;
let second: u64 = 0;

function weak(at: usize, seedA: u64, seedB: u64): void {
  const start = seedA + load<u64>(at);
  const z = load<u64>(at + 24);
  let b = rotr<u64>(seedB + start + z, 21);
  const a = start + load<u64>(at + 8) + load<u64>(at + 16);
  b += rotr<u64>(a, 44);
  first = a + z;
  second = b + start;
}

function blocks(at: usize, length: usize): u64 {
  const end = at + length;
  let x = load<u64>(at);
  let y = load<u64>(end - 16) ^ K1;
  let z = load<u64>(end - 56) ^ K0;
  weak(end - 64, <u64>length, y);
  let vFirst = first;
  let vSecond = second;
  weak(end - 32, <u64>length * K1, K0);
  let wFirst = first;
  let wSecond = second;
  z += mix(vSecond) * K1;
  x = rotr<u64>(z + x, 39) * K1;
  y = rotr<u64>(y, 33) * K1;
  for (let left = (length - 1) & ~63; left != 0; left -= 64) {
    x = rotr<u64>(x + y + vFirst + load<u64>(at + 16), 37) * K1;
    y = rotr<u64>(y + vSecond + load<u64>(at + 48), 42) * K1;
    x ^= wSecond;
    y ^= vFirst;
    z = rotr<u64>(z ^ wFirst, 33);
    weak(at, vSecond * K1, x + wFirst);
    vFirst = first;
    vSecond = second;
    weak(at + 32, z + wSecond, y);
    wFirst = first;
    wSecond = second;
    const swapped = z;
    z = x;
    x = swapped;
    at += 64;
  }
  return pair(pair(vFirst, wFirst) + mix(y) * K1 + z, pair(vSecond, wSecond) + x);
}
