/** Lets a few loads run at a time; what is urgent goes before what is not. */
export class LoadQueue {
  readonly #waiting: Array<{ urgent: boolean; go: () => void }> = [];
  #free: number;

  constructor(places: number) {
    this.#free = places;
  }

  async run<T>(urgent: boolean, load: () => Promise<T>): Promise<T> {
    await new Promise<void>((go) => {
      const at = urgent ? this.#waiting.findIndex((other) => !other.urgent) : -1;
      this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, { urgent, go });
      this.#next();
    });
    try {
      return await load();
    } finally {
      this.#free++;
      this.#next();
    }
  }

  #next(): void {
    if (this.#free <= 0) return;
    const next = this.#waiting.shift();
    if (!next) return;
    this.#free--;
    next.go();
  }
}
