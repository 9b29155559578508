import { describe, expect, it } from '@jest/globals';
import { contradictions } from './register-history.js';

const at = (sentAt: number, answeredAt: number) => ({ sentAt, answeredAt });

describe('the check of a register finds', () => {
  const first = { ...at(0, 10), order: 1, value: 1, previous: null };
  const second = { ...at(20, 30), order: 2, value: 2, previous: 1 };

  it('nothing in a history that is linear', () => {
    const reads = [
      { ...at(0, 1), value: null },
      { ...at(5, 25), value: 1 },
      { ...at(15, 25), value: 2 },
      { ...at(40, 50), value: 2 },
    ];
    expect(contradictions(null, [second, first], reads)).toEqual([]);
  });

  it('a read of what was replaced before it was sent', () => {
    expect(contradictions(null, [first, second], [{ ...at(31, 40), value: 1 }])).toHaveLength(1);
  });

  it('a read of what nobody had written yet', () => {
    expect(contradictions(null, [first, second], [{ ...at(11, 19), value: 2 }])).toHaveLength(1);
  });

  it('reads one after the other that go back in time', () => {
    const reads = [
      { ...at(20, 22), value: 2 },
      { ...at(23, 25), value: 1 },
    ];
    expect(contradictions(null, [first, second], reads)).not.toEqual([]);
  });

  it('a lost change, and a compare-and-set that compared with something else', () => {
    expect(contradictions(null, [first, { ...second, previous: null }], [])).toHaveLength(1);
    expect(contradictions(null, [first, { ...second, ifCurrent: 3 }], [])).toHaveLength(1);
  });

  it('an order of changes that their senders cannot have seen', () => {
    const swapped = [
      { ...first, order: 2, previous: 2 },
      { ...second, order: 1, previous: null },
    ];
    expect(contradictions(null, swapped, [])).not.toEqual([]);
  });
});
