import { KnownModel } from './known-models.js';
import { type Harm, trapModel } from './onnx-writer.js';

export const HARMS: readonly Harm[] = ['freeze', 'crash', 'eat'];

/** Answers as {@link KnownModel} does, but for the number `TRAP`. */
export class TrapModel extends KnownModel {
  constructor(
    readonly harm: Harm,
    number: number,
  ) {
    super(`${harm}-${number}`, 'graph', 10_000 + 1000 * HARMS.indexOf(harm) + 10 * number);
  }

  override file(version: number) {
    return { path: 'model.onnx', data: trapModel(this.base + version, this.harm) };
  }
}
