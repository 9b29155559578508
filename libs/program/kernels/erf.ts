import { exp64 } from './exp64.js';
/** Highest power first; those of `under` begin with 1. (Cephes, Moshier: ndtr.c, as in scipy.special.) */
const CENTRE = {
  over: [
    9.604973739870516, 90.02601972038427, 2232.005345946843, 7003.325141128051, 55592.30130103949,
  ],
  under: [
    1, 33.56171416475031, 521.3579497801527, 4594.323829709801, 22629.000061389095,
    49267.39426086359,
  ],
};
const TAIL = {
  over: [
    2.461969814735305e-10, 0.5641895648310689, 7.463210564422699, 48.63719709856814,
    196.5208329560771, 526.4451949954773, 934.5285271719576, 1027.5518868951572, 557.5353353693994,
  ],
  under: [
    1, 13.228195115474499, 86.70721408859897, 354.9377788878199, 975.7085017432055,
    1823.9091668790973, 2246.3376081871097, 1656.6630919416134, 557.5353408177277,
  ],
};
const FAR = {
  over: [
    0.5641895835477551, 1.275366707599781, 5.019050422511805, 6.160210979930536, 7.4097426995044895,
    2.9788666537210022,
  ],
  under: [
    1, 2.2605286322011726, 9.396035249380015, 12.048953980809666, 17.08144507475659,
    9.608968090632859, 3.369076451000815,
  ],
};

/** The error function, with the steps of Cephes. */
export function erf(x: number): number {
  if (x < 0) return -erf(-x);
  if (x > 1) return 1 - complement(x);
  const square = x * x;
  return (x * polynomial(square, CENTRE.over)) / polynomial(square, CENTRE.under);
}

/** 1 − erf(x), also where that is very small. */
export function erfc(x: number): number {
  if (x > 1) return complement(x);
  return x < -1 ? 2 - complement(-x) : 1 - erf(x);
}

/** 1 − erf(x) from 1 on. */
function complement(x: number): number {
  if (x * x > 709.782712893384) return 0;
  const { over, under } = x < 8 ? TAIL : FAR;
  return (exp64(-x * x) * polynomial(x, over)) / polynomial(x, under);
}

function polynomial(x: number, coefficients: readonly number[]): number {
  let sum = 0;
  for (const coefficient of coefficients) sum = sum * x + coefficient;
  return sum;
}
