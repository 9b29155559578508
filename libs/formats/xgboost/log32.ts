/** 1 / c and ln c for a c amid each sixteenth of the mantissas, chosen so that ln c is nearly a float64. */
const TABLE: readonly (readonly [inverse: number, logarithm: number])[] = [
  [1.398907162146528, -0.33569133332882284],
  [1.3403141896637998, -0.2929040563774074],
  [1.286432210124115, -0.2518726580937369],
  [1.2367150214269895, -0.21245868807117255],
  [1.1906977166711752, -0.17453945183745634],
  [1.1479821020556429, -0.1380057072319758],
  [1.1082251448272158, -0.10275976698545139],
  [1.0711297413057381, -0.06871392447020525],
  [1.036437278977283, -0.0357891387398228],
  [1.0, 0.0],
  [0.9492859795739057, 0.05204517742929496],
  [0.8951049428609004, 0.11081431298787942],
  [0.8476821620351103, 0.1652495223695143],
  [0.8050314851692001, 0.21687389031699977],
  [0.7664671008843108, 0.2659635028121397],
  [0.731428603316328, 0.3127556664073557],
];

const SQUARE = -0.4999997485802103;
const CUBE = 0.333456765744066;
const FOURTH = -0.25089342214237154;

/** The bits of a float32 where the first sixteenth begins. */
const FIRST = 0x3f330000;

const view = new DataView(new ArrayBuffer(4));

/**
 * ln x of a float32 as the C library computes it in float32 (not always the nearest). The method and its numbers are those of
 * `logf` in ARM's optimized routines (2017), which glibc has had since 2.27: x = 2^k · z, ln x = k ln 2 + ln c + ln (z / c).
 */
export function log32(x: number): number {
  // Zeros, what lies below them, subnormal and infinite numbers.
  if (!(x >= 2 ** -126 && x < Infinity)) return Math.fround(Math.log(x));
  view.setFloat32(0, x);
  const bits = view.getInt32(0);
  const offset = bits - FIRST;
  const [inverse, logarithm] = TABLE[(offset >> 19) & 15] ?? [NaN, NaN];
  view.setInt32(0, bits - (offset & 0xff800000));
  const r = view.getFloat32(0) * inverse - 1;
  const whole = logarithm + (offset >> 23) * Math.LN2;
  const square = r * r;
  return Math.fround((FOURTH * square + (CUBE * r + SQUARE)) * square + (whole + r));
}
