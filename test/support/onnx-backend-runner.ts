import { fork, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';
import type { BackendResult } from './onnx-backend-child.js';

/** Runs tests of the onnx package in processes of their own: one that ends its process ends no other test. */
export class BackendRunner {
  private child: ChildProcess | undefined;

  /** @param patience milliseconds that a test may take */
  constructor(private readonly patience: number) {}

  async run(test: string): Promise<BackendResult> {
    const child = (this.child ??= fork(resolve('dist/test/support/onnx-backend-child.js'), [], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    }));
    return new Promise((done) => {
      const end = (result: BackendResult) => {
        clearTimeout(timer);
        child.removeAllListeners();
        done(result);
      };
      let ours: string | undefined;
      const lose = (how: string) => {
        child.kill('SIGKILL');
        this.child = undefined;
        // It has said what we do, so onnxruntime-node itself did this.
        end(ours ? { outcome: 'refused', ours, theirs: how } : { outcome: 'failed', ours: how });
      };
      const timer = setTimeout(() => lose('it did not end'), this.patience);
      child.on('message', (message) => {
        const result = message as Partial<BackendResult>;
        ours = result.ours;
        if (result.outcome) end({ ...result, outcome: result.outcome });
      });
      child.once('exit', (code, signal) => lose(`its process ended with ${signal ?? code}`));
      child.send(test);
    });
  }

  close(): void {
    this.child?.kill('SIGKILL');
  }
}
