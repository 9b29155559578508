/** The column of a hash among `width`, as scikit-learn's feature hashing has it (sklearn/feature_extraction/_hashing_fast.pyx). */
export function hashedColumn(hash: number, width: number): number {
  return hash === -(2 ** 31) ? (2 ** 31 - 1 - (width - 1)) % width : Math.abs(hash) % width;
}

const encoder = new TextEncoder();

/** MurmurHash3 x86 32 bit with seed 0, of the UTF-8 of a text, signed (Appleby, public domain). */
export function murmur3(text: string): number {
  const bytes = encoder.encode(text);
  const { imul } = Math;
  let hash = 0;
  const mix = (word: number): number => {
    const multiplied = imul(word, 0xcc9e2d51);
    return imul((multiplied << 15) | (multiplied >>> 17), 0x1b873593);
  };
  const whole = bytes.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    const word =
      (bytes[i] ?? 0) |
      ((bytes[i + 1] ?? 0) << 8) |
      ((bytes[i + 2] ?? 0) << 16) |
      ((bytes[i + 3] ?? 0) << 24);
    hash ^= mix(word);
    hash = (imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let i = bytes.length - 1; i >= whole; i--) rest = (rest << 8) | (bytes[i] ?? 0);
  if (bytes.length > whole) hash ^= mix(rest);
  hash ^= bytes.length;
  hash = imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) | 0;
}
