import type { BindLimits, Binding, Signature, Signatures, Tensor } from '#program';
import type { Batcher, BatchTarget } from './batcher.js';

/** A Program in memory, warmed up: an answering one. */
export interface LoadedProgram extends BatchTarget {
  readonly signature: Signature;
  readonly signatures?: Signatures | undefined;
  readonly binding: Binding;
  /** Which importer made it, such as `xgboost`. */
  readonly format: string;
  /** Resident bytes, estimated. */
  readonly bytes: number;
  /**
   * The tensors of a request as `run` takes them, in the order of its inputs.
   * @throws ProgramError INVALID_INPUT that names the tensor and says what was expected
   */
  bind(tensors: Tensor[], limits: BindLimits): Tensor[];
  close(): void | Promise<void>;
}

/**
 * A version that answers. A request captures it once and holds it until its answer is out, so that it ends on the version
 * it began with; the memory is given back when the last request has let go.
 */
export class LoadedVersion {
  leases = 0;
  /** Milliseconds since the epoch. */
  lastUsed = Date.now();
  #retired: (() => void) | undefined;

  constructor(
    readonly modelId: string,
    readonly version: number,
    readonly program: LoadedProgram,
    readonly batcher: Batcher,
  ) {}

  lease(): this {
    this.leases++;
    this.lastUsed = Date.now();
    return this;
  }

  release(): void {
    this.leases--;
    if (!this.leases) this.#retired?.();
  }

  /** Gives the memory back as soon as no request runs on it. */
  async retire(): Promise<void> {
    if (this.leases) {
      await new Promise<void>((resolve) => {
        this.#retired = resolve;
      });
    }
    await this.program.close();
  }
}
