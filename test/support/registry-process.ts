import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { exitOf } from './processes.js';

const MAIN = join(import.meta.dirname, '..', '..', 'apps', 'registry', 'main.js');

/** The registry as a process of its own, which can be measured and killed; it comes back at the same port. */
export class RegistryProcess {
  #child: ChildProcess | undefined;
  #port = 0;

  /** @param env its settings, a migrated database among them */
  constructor(private readonly env: Record<string, string>) {}

  async start(): Promise<this> {
    const child = fork(MAIN, [], {
      env: { PATH: process.env.PATH, ...this.env, PORT: String(this.#port) },
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    const ended = exitOf(child).then((code) => {
      throw new Error(`The registry ended with ${code} before it was ready`);
    });
    ended.catch(() => undefined);
    const [ready] = (await Promise.race([once(child, 'message'), ended])) as [{ port: number }];
    this.#port = ready.port;
    return this;
  }

  /** Ends it by a signal; gives its exit code. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (!child) return 0;
    this.#child = undefined;
    child.kill(signal);
    return exitOf(child);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }
}
