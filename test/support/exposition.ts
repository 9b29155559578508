/** One series at one scrape. */
export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  name: string;
  type: string;
  help: string;
  samples: Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/gy;

/**
 * Reads the Prometheus text format, version 0.0.4, more strictly than Prometheus does: each family once, with HELP and TYPE
 * before its samples; no series twice; histograms whose buckets are cumulative and end in their count.
 * @throws Error that names the line
 */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('The last line has no end');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let family: Family | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const wrong = (why: string) => new Error(`${why}: ${line}`);
    if (line === '') continue;
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (!NAME.test(name) || families.has(name)) throw wrong('Not a new family');
      family = { name, help: rest, type: '', samples: [] };
      families.set(name, family);
      continue;
    }
    if (keyword === 'TYPE') {
      if (family?.name !== name || family.type) throw wrong('TYPE without its HELP');
      if (!/^(counter|gauge|histogram|summary)$/.test(rest)) throw wrong('Unknown type');
      family.type = rest;
      continue;
    }
    const sample = parseSample(line);
    if (!sample || !family?.type || !belongs(sample.name, family)) throw wrong('Not a sample');
    const key = sample.name + keyOf(sample.labels);
    if (seen.has(key)) throw wrong('A series twice');
    seen.add(key);
    family.samples.push(sample);
  }
  for (const each of families.values()) check(each);
  return families;
}

/** The sum of the samples of a name whose labels have these values; undefined where there is none. */
export function valueOf(
  families: Map<string, Family>,
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const found = [...families.values()]
    .flatMap(({ samples }) => samples)
    .filter((sample) => sample.name === name)
    .filter((sample) =>
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
  return found.length ? found.reduce((sum, { value }) => sum + value, 0) : undefined;
}

function keyOf(labels: Record<string, string>): string {
  return JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function parseSample(line: string): Sample | undefined {
  const [, name, inside, number = ''] = SAMPLE.exec(line) ?? [];
  if (!name || !/^([+-]?\d+(\.\d+)?(e[+-]?\d+)?|[+-]Inf|NaN)$/.test(number)) return undefined;
  const labels: Record<string, string> = {};
  let read = 0;
  for (const [whole, label = '', value = ''] of (inside ?? '').matchAll(LABEL)) {
    if (label in labels) return undefined;
    labels[label] = value.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
    read += whole.length;
  }
  if (read !== (inside ?? '').length) return undefined;
  return { name, labels, value: Number(number.replace('Inf', 'Infinity')) };
}

function belongs(name: string, family: Family): boolean {
  if (family.type !== 'histogram' && family.type !== 'summary') return name === family.name;
  const part = name.slice(family.name.length);
  return name.startsWith(family.name) && /^_(bucket|sum|count)$/.test(part);
}

function check({ name, type, samples }: Family): void {
  const wrong = (why: string) => new Error(`${name}: ${why}`);
  if (type === 'counter') {
    if (!samples.every(({ value }) => value >= 0)) throw wrong('a negative count');
    if (!name.endsWith('_total') && name.startsWith('slipway_'))
      throw wrong('a counter ends in _total');
  }
  if (type !== 'histogram') return;
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const { le: _, ...labels } = sample.labels;
    const key = keyOf(labels);
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const [labels, group] of groups) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map((sample) => Number(sample.labels.le?.replace('Inf', 'Infinity')));
    const counts = group.filter((sample) => sample.name === `${name}_count`);
    const sums = group.filter((sample) => sample.name === `${name}_sum`);
    if (counts.length !== 1 || sums.length !== 1) throw wrong(`no one count and sum ${labels}`);
    if (bounds.some((bound, i) => Number.isNaN(bound) || bound <= (bounds[i - 1] ?? -Infinity)))
      throw wrong(`bounds do not rise ${labels}`);
    if (buckets.some(({ value }, i) => value < (buckets[i - 1]?.value ?? 0)))
      throw wrong(`buckets are not cumulative ${labels}`);
    if (bounds.at(-1) !== Infinity || buckets.at(-1)?.value !== counts[0]?.value)
      throw wrong(`the last bucket is not the count ${labels}`);
  }
}
