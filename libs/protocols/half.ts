const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Bits of the IEEE 754 binary16 nearest to a number, ties to even; numbers out of range become an infinity. */
export function toFloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  // 65520 lies halfway between the largest finite number, 65504, and what would be the next one.
  if (size >= 65520) return sign | 0x7c00;
  // Scaled so that one unit is the distance of neighbours, the number is rounded once, and from float64.
  if (size < 2 ** -14) return sign | roundToEven(size * 2 ** 24);
  let exponent = Math.floor(Math.log2(size));
  if (2 ** exponent > size) exponent--;
  else if (2 ** (exponent + 1) <= size) exponent++;
  const mantissa = roundToEven(size * 2 ** (10 - exponent));
  // A mantissa that was rounded up to 2048 carries into the exponent by the addition.
  return sign | (((exponent + 14) << 10) + mantissa);
}

/** Bits of the bfloat16 nearest to a number, ties to even; numbers out of range become an infinity. */
export function toBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  float[0] = value;
  let word = bits[0] ?? 0;
  // Rounding to float32 first would make ties of numbers that are none: its last bit is set where bits were lost ("sticky").
  const rounded = float[0] ?? 0;
  if (rounded !== value && Number.isFinite(rounded)) {
    if (Math.abs(rounded) > Math.abs(value)) word--;
    word |= 1;
  }
  const low = word & 0xffff;
  const high = word >>> 16;
  if (low > 0x8000 || (low === 0x8000 && high & 1)) return high + 1;
  return high;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest > 0.5 || (rest === 0.5 && floor % 2 === 1)) return floor + 1;
  return floor;
}
