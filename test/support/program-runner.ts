import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { afterAll } from '@jest/globals';
import type { Program, Tensor } from '#program';
import type { ProgramQuestion } from './program-child.js';

/** Runs programs in a process of its own, one after the other. */
export class ProgramRunner {
  private readonly child: ChildProcess = fork(resolve('dist/test/support/program-child.js'), [], {
    serialization: 'advanced',
    execArgv: [],
  });

  /** Throws Error where the program does not load. */
  async load({ program, weights }: { program: Program; weights: Uint8Array }): Promise<void> {
    await this.ask({ program: JSON.stringify(program), weights });
  }

  /** Throws Error where the loaded program does not answer. */
  async run(inputs: Tensor[], outputs: string[]): Promise<Tensor[]> {
    return this.ask({ inputs, outputs });
  }

  /** Answers all outputs of a signature, by the names that users know. Throws Error where the loaded program does not answer. */
  async request(request: Tensor[], signature?: string): Promise<Tensor[]> {
    return this.ask({ request, signature });
  }

  close(): void {
    this.child.kill('SIGKILL');
  }

  private async ask(question: ProgramQuestion): Promise<Tensor[]> {
    const answered = once(this.child, 'message');
    this.child.send(question);
    const [answer] = (await answered) as [Tensor[] | string];
    if (typeof answer === 'string') throw new Error(answer);
    return answer;
  }
}

/** One for all tests of a file, closed behind the last. */
export function sharedRunner(): ProgramRunner {
  const runner = new ProgramRunner();
  afterAll(() => runner.close());
  return runner;
}
