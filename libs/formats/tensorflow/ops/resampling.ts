/** How a size becomes another one. */
export interface Resizing {
  align: boolean;
  half: boolean;
}

/** Numbers between 0 and 1 that TensorFlow's cubic weights are kept for. */
const TABLE = 1024;

/**
 * What each of `from` pixels weighs in each of `to`, row by row, by TensorFlow's cubic curves (resize_bicubic_op.cc): with centres
 * at halves that of Keys (a = −0.5), where pixels outside weigh nothing and the rest weighs more; else that with a = −0.75,
 * where pixels outside are those at the edge.
 */
export function cubicWeights(from: number, to: number, { align, half }: Resizing): Float32Array {
  const { fround } = Math;
  const scale = align && to > 1 ? fround((from - 1) / (to - 1)) : fround(from / to);
  const a = half ? -0.5 : -0.75;
  const result = new Float32Array(from * to);
  for (let place = 0; place < to; place++) {
    const at = half ? fround(fround(fround(place + 0.5) * scale) - 0.5) : fround(place * scale);
    const floor = Math.floor(at);
    const offset = roundEven((at - floor) * TABLE);
    const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1;
    const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
    const t = offset / TABLE;
    const weights = [far(t + 1), near(t), near(1 - t), far(2 - t)].map(fround);
    const places = [-1, 0, 1, 2].map((step) => floor + step);
    const inside = places.map((p) => p >= 0 && p < from);
    const sum = weights.reduce((total, weight, i) => total + (!half || inside[i] ? weight : 0), 0);
    weights.forEach((weight, i) => {
      if (half && !inside[i]) return;
      const p = Math.min(Math.max(places[i] ?? 0, 0), from - 1);
      const own = half && Math.abs(sum) >= 1000 * MIN_FLOAT ? weight / sum : weight;
      const index = place * from + p;
      result[index] = (result[index] ?? 0) + own;
    });
  }
  return result;
}

const MIN_FLOAT = 1.1754943508222875e-38;

function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** What each of `from` pixels weighs in each of `to`: how much of its area each covers (resize_area_op.cc). */
export function areaWeights(from: number, to: number, { align }: Resizing): Float32Array {
  const { fround } = Math;
  const scale = align && to > 1 ? fround((from - 1) / (to - 1)) : fround(from / to);
  const result = new Float32Array(from * to);
  for (let place = 0; place < to; place++) {
    const start = fround(place * scale);
    const end = fround((place + 1) * scale);
    for (let p = Math.floor(start); p < Math.ceil(end); p++) {
      const begin = Math.max(p, start);
      const covered = Math.min(p + 1, end) - begin;
      const index = place * from + Math.min(Math.max(p, 0), from - 1);
      result[index] = (result[index] ?? 0) + covered / scale;
    }
  }
  return result;
}
