import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { importers } from '#formats';
import { bindInputs, loadProgram, type Runtime, type Tensor } from '#program';

/** Milliseconds of one turn. */
export const SLICE = 40;
const ROWS = 20_000;
/** Times 32 requests. */
const WARM_CALLS = 300;

/** What a ratio must reach, by the number of rows. */
export type Goals = Record<number, number>;

/** What Python says of a model that it trained. */
export interface Trained {
  file: string;
  format: string;
  rows: string;
  dtype: 'FP32' | 'FP64';
  features: number;
  output: string;
  ways: Record<string, Goals>;
  onnx: string | null;
}

/** A model as it is served, from the bound request to the answer. */
export class OwnModel {
  private readonly requests = new Map<number, Tensor[]>();

  private constructor(
    private readonly runtime: Runtime,
    private readonly trained: Trained,
    private readonly data: Float32Array | Float64Array,
  ) {}

  static async load(trained: Trained): Promise<OwnModel> {
    const bytes = readFileSync(trained.file);
    const importer = importers.find(({ format }) => format === trained.format);
    const verdict = await importer?.compile(
      [
        {
          path: basename(trained.file),
          size: bytes.length,
          read: async (offset = 0, length = bytes.length) =>
            bytes.subarray(offset, offset + length),
        },
      ],
      {},
    );
    if (verdict?.state !== 'servable') throw new Error(JSON.stringify(verdict));
    const runtime = await loadProgram(verdict.program, verdict.weights);
    const { buffer, byteOffset, byteLength } = readFileSync(trained.rows);
    const raw = buffer.slice(byteOffset, byteOffset + byteLength);
    const data = trained.dtype === 'FP32' ? new Float32Array(raw) : new Float64Array(raw);
    return new OwnModel(runtime, trained, data);
  }

  answer(count: number): ArrayLike<number> {
    const [answer] = this.run(this.tensor(0, count));
    if (answer?.data instanceof Float32Array || answer?.data instanceof Float64Array)
      return answer.data;
    throw new Error('the answer is not of numbers');
  }

  /** Lets the compiler see the calls: what is measured is a server that has answered for a while. */
  warmUp(): void {
    for (let i = 0; i < WARM_CALLS; i++) for (const rows of this.requestsOf(1)) this.run(rows);
  }

  /** Processor time of one call, in µs. */
  async measure(batch: number): Promise<number> {
    const requests = this.requestsOf(batch);
    return timed(requests.length, () => {
      for (const rows of requests) this.run(rows);
    });
  }

  /** Different rows in turn, so that the processor cannot learn one by heart. */
  requestsOf(batch: number): Tensor[] {
    const count = Math.min(32, Math.floor(ROWS / batch));
    const made =
      this.requests.get(batch) ??
      Array.from({ length: count }, (_, i) => this.tensor(i * batch, batch));
    this.requests.set(batch, made);
    return made;
  }

  private run(rows: Tensor): Tensor[] {
    const bound = bindInputs(this.runtime, [rows], { maxRows: ROWS });
    const answer = this.runtime.run(bound, [this.trained.output]);
    if (answer instanceof Promise) throw new Error('the program has an ONNX part');
    return answer;
  }

  private tensor(from: number, count: number): Tensor {
    const { features, dtype } = this.trained;
    const data = this.data.slice(from * features, (from + count) * features);
    return { name: 'X', dtype, shape: [count, features], data };
  }
}

/** The same model in ONNX Runtime, on one thread, by its public door. */
export class OrtModel {
  private constructor(
    readonly session: InferenceSession,
    private readonly model: OwnModel,
  ) {}

  static async load(path: string, model: OwnModel): Promise<OrtModel> {
    const options = { intraOpNumThreads: 1, interOpNumThreads: 1 };
    return new OrtModel(await InferenceSession.create(path, options), model);
  }

  async measure(batch: number): Promise<number> {
    const [input = ''] = this.session.inputNames;
    // What estimators answer first is the label; the numbers are the last.
    const output = this.session.outputNames.at(-1) ?? '';
    const feeds = this.model.requestsOf(batch).map(({ data, shape }) => ({
      [input]: new OrtTensor('float32', Float32Array.from(data as Float64Array), shape),
    }));
    return timed(feeds.length, async () => {
      for (const feed of feeds) await this.session.run(feed, [output]);
    });
  }
}

/** Processor time (µs) of one of the calls that `work` makes, over a turn. */
async function timed(calls: number, work: () => void | Promise<void>): Promise<number> {
  const end = performance.now() + SLICE;
  const used = process.cpuUsage();
  let made = 0;
  do {
    await work();
    made += calls;
  } while (performance.now() < end);
  const { user, system } = process.cpuUsage(used);
  return (user + system) / made;
}
