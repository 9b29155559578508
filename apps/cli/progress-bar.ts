import { Presets, SingleBar } from 'cli-progress';
import { bytesText } from './output.js';

/** A bar on stderr, only where a person looks at it. */
export class ProgressBar {
  readonly #bar: SingleBar | undefined;
  #started = false;

  constructor(title: string) {
    if (!process.stderr.isTTY) return;
    const format = `${title} {bar} {percentage}%  {done}/{whole}  {note}`;
    this.#bar = new SingleBar(
      { format, stream: process.stderr, hideCursor: true, clearOnComplete: true },
      Presets.shades_classic,
    );
  }

  show(done: number, total: number, noted: string): void {
    const bar = this.#bar;
    if (!bar) return;
    const fields = { done: bytesText(done), whole: bytesText(total), note: noted };
    if (!this.#started) bar.start(total, done, fields);
    this.#started = true;
    bar.setTotal(total);
    bar.update(done, fields);
  }

  stop(): void {
    if (this.#started) this.#bar?.stop();
  }
}
