/** Tells what never ends by itself, such as event streams, that the process stops. */
export class Stopping {
  private readonly controller = new AbortController();

  /** Aborted when the app begins to close, before running requests are waited for. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  begin(): void {
    this.controller.abort();
  }
}
