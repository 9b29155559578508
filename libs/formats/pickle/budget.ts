import { DamagedModel } from '../importer.js';

/** What the pickles of one file may cost together, counted in the reader itself. */
export interface BudgetLimits {
  opcodes: number;
  /** Values on the stack. */
  stack: number;
  marks: number;
  memo: number;
  /** Memo entries that are not numbered one after the other, as every pickler does. */
  sparseMemo: number;
  globals: number;
  /** Estimated bytes of all values. */
  memory: number;
  /** Bytes converted or copied. */
  work: number;
  /** Bytes of a line of protocol 0. */
  line: number;
  /** Bytes of an integer: BigInt is quadratic in them. */
  integerBytes: number;
  integerDigits: number;
  /** Pickles inside pickles: joblib's object arrays. */
  nested: number;
}

/** Measured on real files (most memory a byte: 17, of a file of 2 KB) and on hostile ones (2 s, 1 GiB). */
function limitsOf(inputBytes: number): BudgetLimits {
  return {
    opcodes: 20_000_000,
    stack: 2_000_000,
    marks: 10_000,
    memo: 4_000_000,
    sparseMemo: 100_000,
    globals: 20_000,
    memory: Math.min(640 * 2 ** 20 + inputBytes * 2, 24 * inputBytes + 48 * 2 ** 20),
    work: 4 * inputBytes + 64 * 2 ** 20,
    line: 16 * 2 ** 20,
    integerBytes: 1024,
    integerDigits: 2500,
    nested: 64,
  };
}

const NAMES: Record<keyof BudgetLimits, string> = {
  opcodes: 'opcodes',
  stack: 'values on the stack',
  marks: 'open marks',
  memo: 'memo entries',
  sparseMemo: 'memo entries out of order',
  globals: 'names of classes and functions',
  memory: 'bytes of memory (estimated)',
  work: 'bytes to convert',
  line: 'bytes in a line',
  integerBytes: 'bytes of an integer',
  integerDigits: 'digits of an integer',
  nested: 'pickles inside one another',
};

/** Counts what a file costs and refuses what is over a limit; shared by the pickles inside it. */
export class Budget {
  readonly limits: BudgetLimits;
  private opcodesUsed = 0;
  private memoryUsed = 0;
  private workUsed = 0;

  constructor(inputBytes: number, limits: Partial<BudgetLimits> = {}) {
    this.limits = { ...limitsOf(inputBytes), ...limits };
  }

  opcode(): void {
    this.opcodesUsed += 1;
    if (this.opcodesUsed > this.limits.opcodes) this.exceeded('opcodes');
  }

  memory(bytes: number): void {
    this.memoryUsed += bytes;
    if (this.memoryUsed > this.limits.memory) this.exceeded('memory');
  }

  work(bytes: number): void {
    this.workUsed += bytes;
    if (this.workUsed > this.limits.work) this.exceeded('work');
  }

  /** For what is compared, not added up. */
  check(limit: keyof BudgetLimits, value: number): void {
    if (value > this.limits[limit]) this.exceeded(limit);
  }

  private exceeded(limit: keyof BudgetLimits): never {
    throw new DamagedModel(`more than ${this.limits[limit]} ${NAMES[limit]}; that is the limit`);
  }
}
