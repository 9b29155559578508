import { describe, expect, it } from '@jest/globals';
import { DomainError } from '#platform';
import { takeRows, type Tensor } from '#program';
import fc from 'fast-check';
import { Batcher, type BatchTarget, type Job } from './batcher.js';

const tensor = (values: number[], columns = 1): Tensor => ({
  name: 'X',
  dtype: 'FP64',
  shape: [values.length / columns, columns],
  data: Float64Array.from(values),
});

const doubled = (inputs: Tensor[], outputs: string[]): Tensor[] => {
  const [x] = inputs;
  const data = Float64Array.from(x?.data as Float64Array, (value) => 2 * value);
  return outputs.map((name) => ({ name, dtype: 'FP64', shape: x?.shape ?? [], data }));
};

class Target implements BatchTarget {
  runs: number[] = [];

  constructor(
    readonly rowwise: boolean,
    readonly synchronous: boolean,
    private readonly answer = doubled,
  ) {}

  run(inputs: Tensor[], outputs: string[]): Tensor[] | Promise<Tensor[]> {
    this.runs.push(inputs[0]?.shape[0] ?? 0);
    if (this.synchronous) return this.answer(inputs, outputs);
    return new Promise((resolve) => setTimeout(resolve, 2)).then(() =>
      this.answer(inputs, outputs),
    );
  }
}

const batcherOf = (target: BatchTarget, maxQueued?: number) =>
  new Batcher(target, maxQueued ? { maxQueued } : {});

function ask(batcher: Batcher, input: Tensor, given: Partial<Job> = {}): Promise<Tensor[]> {
  return new Promise((resolve, failed) => {
    batcher.submit({
      inputs: [input],
      rows: input.shape[0] ?? 1,
      outputs: ['y'],
      deadline: Date.now() + 5000,
      gone: () => false,
      done: (outputs, rows) => resolve(rows ? takeRows(outputs, rows) : outputs),
      failed,
      ...given,
    });
  });
}

const numbers = (answer: Tensor[]) => Array.from(answer[0]?.data as Float64Array);

describe.each([
  ['synchronous', true],
  ['asynchronous', false],
])('a %s rowwise version', (_, synchronous) => {
  it('answers each request as if it were alone', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.double({ noNaN: true }), { maxLength: 5 }), { maxLength: 20 }),
        async (requests) => {
          const batcher = batcherOf(new Target(true, synchronous));
          const answers = await Promise.all(requests.map((values) => ask(batcher, tensor(values))));
          expect(answers.map(numbers)).toEqual(requests.map((values) => values.map((v) => 2 * v)));
        },
      ),
      { numRuns: synchronous ? 100 : 20 },
    );
  });

  it('runs what came in one turn as one batch', async () => {
    const target = new Target(true, synchronous);
    const batcher = batcherOf(target);
    await Promise.all(Array.from({ length: 50 }, (__, i) => ask(batcher, tensor([i]))));
    expect(target.runs).toEqual([50]);
  });

  it('joins only what has the same outputs and the same width', async () => {
    const target = new Target(true, synchronous);
    const batcher = batcherOf(target);
    await Promise.all([
      ask(batcher, tensor([1])),
      ask(batcher, tensor([2])),
      ask(batcher, tensor([3, 4], 2)),
      ask(batcher, tensor([5]), { outputs: ['z'] }),
    ]);
    expect(target.runs).toEqual([2, 1, 1]);
  });

  it('lets a failure hit only the request that causes it', async () => {
    const target = new Target(true, synchronous, (inputs, outputs) => {
      if (numbers(inputs).includes(13)) throw new Error('unlucky');
      return doubled(inputs, outputs);
    });
    const batcher = batcherOf(target);
    const answers = await Promise.allSettled(
      [1, 13, 2].map((value) => ask(batcher, tensor([value]))),
    );
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('survives an answer with other rows than were asked', async () => {
    const target = new Target(true, synchronous, () => [tensor([1, 2, 3])]);
    const batcher = batcherOf(target);
    const answers = await Promise.all([ask(batcher, tensor([1])), ask(batcher, tensor([2]))]);
    expect(answers.map(numbers)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });
});

describe('a synchronous rowwise version', () => {
  it('cuts a long request, lets short ones through, and joins the pieces', async () => {
    const target = new Target(true, true, (inputs, outputs) => {
      const end = performance.now() + (inputs[0]?.shape[0] ?? 0) * 0.02;
      while (performance.now() < end);
      return doubled(inputs, outputs);
    });
    const batcher = batcherOf(target);
    const values = Array.from({ length: 20_000 }, (_, i) => i);
    const order: string[] = [];
    const long = ask(batcher, tensor(values)).then((answer) => {
      order.push('long');
      return answer;
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    await ask(batcher, tensor([1])).then(() => order.push('short'));
    expect(numbers(await long)).toEqual(values.map((value) => 2 * value));
    expect(order).toEqual(['short', 'long']);
    expect(Math.max(...target.runs)).toBeLessThan(2000);
  });

  it('ends a long request at its deadline', async () => {
    const target = new Target(true, true, (inputs, outputs) => {
      const end = performance.now() + 5;
      while (performance.now() < end);
      return doubled(inputs, outputs);
    });
    const long = ask(batcherOf(target), tensor(Array(100_000).fill(1)), {
      deadline: Date.now() + 50,
    });
    await expect(long).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    const { length } = target.runs;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(target.runs).toHaveLength(length);
  });
});

describe('a version that is not rowwise', () => {
  it('runs each request by itself', async () => {
    const target = new Target(false, false);
    const batcher = batcherOf(target);
    await Promise.all([1, 2, 3].map((value) => ask(batcher, tensor([value]))));
    expect(target.runs).toEqual([1, 1, 1]);
  });
});

describe('what waits', () => {
  it('is bounded', () => {
    const batcher = batcherOf(new Target(true, false), 2);
    void ask(batcher, tensor([1]));
    void ask(batcher, tensor([1]));
    expect(() => {
      batcher.submit({
        inputs: [tensor([1])],
        rows: 1,
        outputs: ['y'],
        deadline: Infinity,
        gone: () => false,
        done: () => undefined,
        failed: () => undefined,
      });
    }).toThrow(DomainError);
  });

  it('gets 504 when its time is over while another runs, and is dropped when its client has gone', async () => {
    let release: (() => void) | undefined;
    const target: BatchTarget & { runs: number } = {
      rowwise: true,
      synchronous: false,
      runs: 0,
      run(inputs, outputs) {
        this.runs++;
        return new Promise((resolve) => {
          release = () => resolve(doubled(inputs, outputs));
        });
      },
    };
    const batcher = batcherOf(target);
    const first = ask(batcher, tensor([1]));
    await new Promise((resolve) => setTimeout(resolve, 5));
    const late = ask(batcher, tensor([2]), { deadline: Date.now() + 20 });
    let gone = false;
    void ask(batcher, tensor([3]), { gone: () => gone });
    gone = true;
    await expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    release?.();
    await first;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(target.runs).toBe(1);
  });
});
