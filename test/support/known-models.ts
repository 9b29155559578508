import type { InferTensor, Slipway } from '#sdk';
import { constantModel } from './models.js';
import { addModel } from './onnx-writer.js';

/**
 * A model whose versions answer numbers that no other version of any model answers: `base + version` a row from a forest,
 * which runs in the serving process, and `x + base + version` from a graph, which runs in a compartment.
 */
export class KnownModel {
  constructor(
    readonly name: string,
    readonly kind: 'forest' | 'graph',
    /** A whole number; with what is added to it, float32 holds it exactly. */
    readonly base: number,
  ) {}

  /** The model file of a version. */
  file(version: number): { path: string; data: Uint8Array } {
    const value = this.base + version;
    return this.kind === 'forest'
      ? { path: 'model.json', data: constantModel(value) }
      : { path: 'model.onnx', data: addModel(value) };
  }

  /** Logs versions up to this number, and waits until all are servable. */
  async log(slipway: Slipway, versions: number): Promise<void> {
    for (let version = 1; version <= versions; version++)
      await slipway.logModel({ name: this.name, files: [this.file(version)] });
    for (let version = 1; version <= versions; version++) {
      const { serving } = await slipway.checked(this.name, version, { timeout: 120 });
      if (serving.state !== 'servable') throw new Error(`${this.name}: ${serving.reason}`);
    }
  }

  request(rows: number[]): { inputs: InferTensor[] } {
    const tensor =
      this.kind === 'forest'
        ? { name: 'X', datatype: 'FP32' as const, shape: [rows.length, 1], data: rows }
        : { name: 'x', datatype: 'FP32' as const, shape: [rows.length], data: rows };
    return { inputs: [tensor] };
  }

  /** What `version` answers to these rows. */
  expected(version: number, rows: number[]): number[] {
    return rows.map((x) => (this.kind === 'forest' ? 0 : x) + this.base + version);
  }

  /** What is wrong with an answer of 200, which says by itself which version gave it; undefined where nothing is. */
  wrong({ version, body }: { version: number; body: string }, rows: number[]): string | undefined {
    const answer = JSON.parse(body) as {
      model_name: string;
      model_version: string;
      outputs: InferTensor[];
    };
    if (answer.model_name !== this.name || answer.model_version !== String(version))
      return `asked ${this.name}, x-slipway-version ${version}: ${body}`;
    const got = answer.outputs[0]?.data.map(Number) ?? [];
    const expected = this.expected(version, rows);
    const same = got.length === expected.length && got.every((value, i) => value === expected[i]);
    return same
      ? undefined
      : `${this.name}/${version} answered ${got.join()} for ${expected.join()}`;
  }
}
