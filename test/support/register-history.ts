/** Something that was asked of a register: when it was sent and answered, by one clock. */
interface Operation {
  sentAt: number;
  answeredAt: number;
}

/** A change that took place. `order` is where the server says that it stands among all. */
export interface RegisterChange extends Operation {
  order: number;
  value: number | null;
  /** What the change says that it replaced. */
  previous: number | null;
  /** What it demanded to find, where it demanded something. */
  ifCurrent?: number | null;
}

/** An answer that tells the value: a read, a change that changed nothing, or the refusal of a compare-and-set. */
export interface RegisterRead extends Operation {
  value: number | null;
}

/**
 * Whether a history of a register can be told as one sequence that keeps the order of whatever did not overlap
 * (linearizability, Herlihy and Wing 1990). The order of the changes is known, so the search of Wing and Gong needs no
 * way back: a read that is put as early as it can be hinders nobody.
 * @returns what contradicts it; empty where nothing does
 */
export function contradictions(
  initial: number | null,
  changes: RegisterChange[],
  reads: RegisterRead[],
): string[] {
  const found: string[] = [];
  const ordered = changes.toSorted((a, b) => a.order - b.order);
  const open = new Set<Operation>([...ordered, ...reads]);
  const waiting = new Map<number | null, Set<RegisterRead>>();
  for (const read of reads) {
    const same = waiting.get(read.value) ?? new Set();
    waiting.set(read.value, same.add(read));
  }
  const byAnswer = [...open].sort((a, b) => a.answeredAt - b.answeredAt);
  let first = 0;
  /** Nothing that was answered before this one was sent is still to come. */
  const mayCome = (operation: Operation): boolean => {
    for (let next = byAnswer[first]; next && !open.has(next); next = byAnswer[++first]);
    const earliest = byAnswer[first];
    return !earliest || earliest.answeredAt >= operation.sentAt;
  };
  const readAll = (value: number | null): void => {
    for (let before = -1; before !== open.size;) {
      before = open.size;
      for (const read of waiting.get(value) ?? []) {
        if (!mayCome(read)) continue;
        open.delete(read);
        waiting.get(value)?.delete(read);
      }
    }
  };
  let value = initial;
  readAll(value);
  for (const change of ordered) {
    const { order, previous, ifCurrent } = change;
    if (previous !== value)
      found.push(`change ${order}: replaced ${previous}, but ${value} was there`);
    if (ifCurrent !== undefined && ifCurrent !== value)
      found.push(`change ${order}: demanded ${ifCurrent}, but ${value} was there`);
    if (!mayCome(change)) {
      const [blocking] = byAnswer.slice(first);
      found.push(
        `change ${order}: comes after ${JSON.stringify(blocking)}, which was answered before it was sent`,
      );
      return found;
    }
    open.delete(change);
    value = change.value;
    readAll(value);
  }
  for (const left of open) found.push(`nothing explains ${JSON.stringify(left)}`);
  return found;
}
