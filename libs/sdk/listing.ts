export interface Page<T> {
  items: T[];
  /** Pass it to `page` for what follows; absent at the end. */
  next?: string;
}

/** A list that may be long: iterate over it all, or take it page by page. A page neither repeats nor loses rows while others write. */
export class Listing<T> implements AsyncIterable<T> {
  constructor(private readonly fetchPage: (cursor: string | undefined) => Promise<Page<T>>) {}

  page(cursor?: string): Promise<Page<T>> {
    return this.fetchPage(cursor);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, undefined> {
    let cursor: string | undefined;
    do {
      const page = await this.fetchPage(cursor);
      yield* page.items;
      cursor = page.next;
    } while (cursor);
    return undefined;
  }

  /** The first items, at most so many. */
  async take(count: number): Promise<T[]> {
    const taken: T[] = [];
    if (count <= 0) return taken;
    for await (const item of this) if (taken.push(item) >= count) break;
    return taken;
  }
}
