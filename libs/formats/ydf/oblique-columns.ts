import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { ProgramBuilder } from '../program-builder.js';
import type { YdfColumn, YdfTest } from './ydf-messages.js';

type Oblique = Extract<YdfTest, { kind: 'oblique' }>;

const NUMERICAL = 1;
const MOST_PROJECTIONS = 65_536;

/** The weighted sums that oblique tests compare, as further columns of the table. */
export class ObliqueColumns {
  private readonly known = new Map<string, number>();
  private readonly starts = [0];
  private readonly features: number[] = [];
  private readonly weights: number[] = [];
  private readonly replacements: number[] = [];

  /** `places`: of a column of the data specification, its place in the table. */
  constructor(private readonly places: Map<number, number>) {}

  get count(): number {
    return this.starts.length - 1;
  }

  /** The place of the sum that a test compares. */
  place(test: Oblique, columns: YdfColumn[], what: string): number {
    const { attributes, weights, replacements } = test;
    const key = JSON.stringify([attributes, weights.map(String), replacements.map(String)]);
    const known = this.known.get(key);
    if (known !== undefined) return known;
    if (
      weights.length !== attributes.length ||
      ![0, attributes.length].includes(replacements.length)
    ) {
      throw new DamagedModel(`${what}: the lists of an oblique test differ in length`);
    }
    if (this.count >= MOST_PROJECTIONS) {
      throw new UnsupportedModel(
        `The model has more than ${MOST_PROJECTIONS} different oblique tests.`,
      );
    }
    for (const [i, attribute] of attributes.entries()) {
      const place = this.places.get(attribute);
      if (place === undefined || columns[attribute]?.type !== NUMERICAL) {
        throw new DamagedModel(`${what}: column ${attribute} is no numerical feature`);
      }
      this.features.push(place);
      this.weights.push(weights[i] ?? NaN);
      this.replacements.push(replacements[i] ?? NaN);
    }
    const made = this.places.size + this.count;
    this.starts.push(this.features.length);
    this.known.set(key, made);
    return made;
  }

  /** The table with the sums behind its columns. */
  add(builder: ProgramBuilder, rows: string): string {
    if (this.count === 0) return rows;
    const int32 = (data: number[]) => builder.weights.add('INT32', Int32Array.from(data));
    const floats = (data: number[]) => builder.weights.add('FP32', Float32Array.from(data));
    return builder.kernel('oblique-columns', [rows], {
      weights: {
        starts: int32(this.starts),
        features: int32(this.features),
        coefficients: floats(this.weights),
        replacements: floats(this.replacements),
      },
    });
  }
}
