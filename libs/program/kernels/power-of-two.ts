const number = new Float64Array(1);
const words = new Int32Array(number.buffer);

/** 2^n of an integer from −1022 to 1023, made of its bits: many times as fast as `**`. */
export function powerOfTwo(n: number): number {
  words[1] = (n + 1023) << 20;
  return number[0] ?? NaN;
}
