import { expect, it } from '@jest/globals';
import { metricsText } from '#platform';
import fc from 'fast-check';
import { parseExposition, valueOf } from './support/exposition.js';

it('metrics of several processes are written so that a strict reader gets them back, added up', () => {
  const name = fc.constantFrom('slipway_a', 'slipway_b', 'slipway_c');
  const word = fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', '{', '}', ',', '=', 'é') });
  const values = fc.array(
    fc.record({ labels: fc.dictionary(fc.constantFrom('one', 'two'), word), value: fc.nat(1000) }),
    { maxLength: 4 },
  );
  const help = fc.string({ minLength: 1 }).map((text) => `x${text}`);
  const metric = fc.record({ name, help, type: fc.constant('gauge' as const), values });
  fc.assert(
    fc.property(fc.array(metric, { minLength: 1, maxLength: 6 }), (metrics) => {
      const found = parseExposition(metricsText(metrics));
      expect(new Set(found.keys())).toEqual(new Set(metrics.map((each) => each.name)));
      for (const each of metrics) {
        const all = metrics.filter((other) => other.name === each.name);
        const sum = all.flatMap((other) => other.values).reduce((s, { value }) => s + value, 0);
        expect(valueOf(found, each.name) ?? 0).toBe(sum);
        for (const { labels } of each.values)
          expect(valueOf(found, each.name, labels)).toBeDefined();
      }
    }),
  );
});

it.each([
  ['a line that is none', '# HELP a b\n# TYPE a gauge\na\n'],
  ['a sample before its family', 'a 1\n'],
  ['a series twice', '# HELP a b\n# TYPE a gauge\na{x="1"} 1\na{x="1"} 2\n'],
  ['a label that is not escaped', '# HELP a b\n# TYPE a gauge\na{x="1"2"} 1\n'],
  [
    'buckets that are not cumulative',
    '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
  ],
  [
    'a histogram without its last bucket',
    '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_sum 1\na_count 2\n',
  ],
])('the reader of the tests refuses %s', (_, text) => {
  expect(() => parseExposition(text)).toThrow();
});
