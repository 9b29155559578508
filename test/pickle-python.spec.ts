import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DamagedModel, UnsupportedModel } from '../libs/formats/importer.js';
import type { GlobalUse } from '../libs/formats/pickle/pickle-machine.js';
import { readPickle } from '../libs/formats/pickle/read-pickle.js';
import { PyDict, PyFloat, PySet, PyTuple, type PyValue } from '../libs/formats/pickle/records.js';
import { amount, report } from './support/proof.js';
import { hasPython, runPython } from './support/python.js';
import { Seeded } from './support/seeded.js';

/** A value of Python in JSON: [kind, content]. */
type Described = [string, unknown];

const described = fc.letrec<{ value: Described }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant<Described>(['none', null]),
    fc.boolean().map((value): Described => ['bool', value]),
    fc
      .bigInt({ min: -(2n ** 70n), max: 2n ** 70n })
      .map((value): Described => ['int', String(value)]),
    fc.integer().map((value): Described => ['int', String(value)]),
    fc.double().map((value): Described => ['float', Object.is(value, -0) ? '-0.0' : String(value)]),
    fc.string({ unit: 'binary' }).map((value): Described => ['str', value]),
    fc.string({ minLength: 200, maxLength: 400 }).map((value): Described => ['str', value]),
    fc
      .constantFrom('a\\u0041', '\\\\u0041', 'a\nb\\', '\u2028\ud83d\ude00')
      .map((value): Described => ['str', value]),
    fc
      .uint8Array({ maxLength: 300 })
      .map((value): Described => ['bytes', Buffer.from(value).toString('hex')]),
    fc.uint8Array().map((value): Described => ['bytearray', Buffer.from(value).toString('hex')]),
    fc.array(tie('value'), { maxLength: 6 }).map((items): Described => ['list', items]),
    fc.array(tie('value'), { maxLength: 6 }).map((items): Described => ['tuple', items]),
    fc.uniqueArray(fc.integer(), { maxLength: 6 }).map((items): Described => ['set', items]),
    fc.uniqueArray(fc.integer(), { maxLength: 6 }).map((items): Described => ['frozenset', items]),
    fc
      .dictionary(fc.string(), tie('value'), { maxKeys: 6 })
      .map((pairs): Described => ['dict', Object.entries(pairs)]),
    fc
      .dictionary(fc.string(), tie('value'), { maxKeys: 4 })
      .map((pairs): Described => ['ordered', Object.entries(pairs)]),
  ),
})).value;

const writeScript = `
import sys, json, pickle, pickletools, collections, base64
def make(d):
    kind, c = d
    if kind == 'int': return int(c)
    if kind == 'float': return float(c.replace('Infinity', 'inf'))
    if kind == 'bytes': return bytes.fromhex(c)
    if kind == 'bytearray': return bytearray.fromhex(c)
    if kind == 'list': return [make(x) for x in c]
    if kind == 'tuple': return tuple(make(x) for x in c)
    if kind == 'set': return set(c)
    if kind == 'frozenset': return frozenset(c)
    if kind == 'dict': return {k: make(v) for k, v in c}
    if kind == 'ordered': return collections.OrderedDict((k, make(v)) for k, v in c)
    return c
out = []
for d in json.load(sys.stdin):
    value = make(d)
    for protocol in range(6):
        for dumps in (pickle.dumps, pickle._dumps):
            out.append(base64.b64encode(dumps(value, protocol)).decode())
json.dump(out, sys.stdout)
`;

/** Describes what was read in the same way. */
function describeValue(value: PyValue): Described {
  if (value === null) return ['none', null];
  if (typeof value === 'boolean') return ['bool', value];
  if (typeof value === 'number' || typeof value === 'bigint') return ['int', String(value)];
  if (typeof value === 'string') return ['str', value];
  if (value instanceof PyFloat)
    return ['float', Object.is(value.value, -0) ? '-0.0' : String(value.value)];
  if (value instanceof Uint8Array) return ['bytes', Buffer.from(value).toString('hex')];
  if (value instanceof PyTuple) return ['tuple', value.items.map(describeValue)];
  if (Array.isArray(value)) return ['list', value.map(describeValue)];
  if (value instanceof PySet)
    return [value.frozen ? 'frozenset' : 'set', value.items.map(Number).toSorted((a, b) => a - b)];
  if (value instanceof PyDict)
    return ['dict', value.entries.map(([key, item]) => [key, describeValue(item)])];
  throw new Error(`unexpected ${value.constructor.name}`);
}

/** The reader keeps no difference between bytes and bytearray, dict and OrderedDict. */
function expected([kind, content]: Described): Described {
  if (kind === 'bytearray') return ['bytes', content];
  if (kind === 'set' || kind === 'frozenset')
    return [kind, (content as number[]).toSorted((a, b) => a - b)];
  if (kind === 'list' || kind === 'tuple') return [kind, (content as Described[]).map(expected)];
  if (kind === 'dict' || kind === 'ordered') {
    return ['dict', (content as [string, Described][]).map(([key, item]) => [key, expected(item)])];
  }
  return [kind, content];
}

it('reads every value that Python writes, in every protocol', () => {
  if (!hasPython('values of Python in every protocol')) return;
  const values = fc.sample(described, { numRuns: amount(400, 10_000), seed: 7 });
  const written = runPython(writeScript, values) as string[];
  expect(written).toHaveLength(values.length * 12);
  values.forEach((value, i) => {
    const pickles = written.slice(i * 12, i * 12 + 12).map((text) => Buffer.from(text, 'base64'));
    const read = pickles.map((bytes) => readPickle(bytes));
    expect(read.map(({ root }) => describeValue(root))).toEqual(pickles.map(() => expected(value)));
    expect(read.map(({ end }) => end)).toEqual(pickles.map(({ length }) => length));
  });
});

/**
 * CPython's memo is as long as the highest number in a file: one mutant would take up to 32 GB and minutes to clear it. What
 * has no room ends in a MemoryError.
 */
const importsScript = `
import sys, json, pickle, base64, io, warnings, resource
resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
warnings.simplefilter('ignore')
class Anything:
    def __init__(self, *a, **k): pass
    def __new__(cls, *a, **k): return object.__new__(cls)
    def __call__(self, *a, **k): return Anything()
    def __setstate__(self, state): pass
    def __setitem__(self, k, v): pass
    def append(self, v): pass
    def extend(self, v): pass
    def add(self, v): pass
    def __hash__(self): return 1
class Stub(pickle.Unpickler):
    def find_class(self, module, name):
        self.found.append([module, name])
        return Anything
    def persistent_load(self, pid): return Anything()
out = []
for data in json.load(sys.stdin):
    stub = Stub(io.BytesIO(base64.b64decode(data)), encoding='latin1')
    stub.found = []
    ok = True
    try: stub.load()
    except BaseException as e: ok = False
    out.append([ok, stub.found])
json.dump(out, sys.stdout)
`;

const seeds = `
import pickle, collections, datetime, decimal, functools, json, sys, base64, fractions, uuid, copyreg
class P:
    pass
values = [collections.OrderedDict(a=1, b=[1, 2.5]), datetime.datetime(2020, 1, 1), decimal.Decimal('1.5'), functools.partial(print, 1),
  [len, print, {'x': collections.Counter('abc')}], fractions.Fraction(1, 3), uuid.UUID(int=5), {1: (2, 3), 'k': {4, 5}}, slice(1, 2), range(4),
  collections.defaultdict(list, a=[1]), complex(1, 2), b'abc' * 30, bytearray(b'x'), ['s' * 300, 2**80, -1, 70000, 1e300, True, None]]
json.dump([base64.b64encode(pickle.dumps(v, p)).decode() for v in values for p in range(6)], sys.stdout)
`;

/** Opcodes and pieces that mutants get. */
const pieces = [
  'cos\nsystem\n',
  '\x8c\x02os\x8c\x06system\x93',
  '(S"id"\ntR',
  'R',
  'b',
  '0',
  '2',
  '(',
  't',
  '\x85',
  ')',
  ']',
  '}',
  'h\x00',
  'q\x00',
  '\x94',
  '.',
  '\x95\x02\0\0\0\0\0\0\0',
  '\x81',
  'o',
  '(ios\nsystem\n',
  'N',
  'U\x02os',
  'X\x02\0\0\0os',
  'a',
  's',
  'l',
  'd',
  '\x92',
  'p0\n',
  'g0\n',
  'P1\n',
  'Q',
];

it('reports every name that CPython would import', () => {
  if (!hasPython('names that CPython imports')) return;
  const chance = new Seeded();
  const bases = (runPython(seeds, null) as string[]).map((base64) => Buffer.from(base64, 'base64'));
  const mutants = Array.from({ length: amount(6000, 100_000) }, () => mutate(bases, chance));
  const found = runPython(
    importsScript,
    mutants.map((bytes) => bytes.toString('base64')),
  ) as [boolean, [string, string][]][];
  let both = 0;
  let stricter = 0;
  mutants.forEach((bytes, i) => {
    const [loads, imported] = found[i] ?? [false, []];
    const globals = new Map<string, GlobalUse>();
    let reads = true;
    try {
      readPickle(bytes, { globals });
    } catch (error) {
      if (!(error instanceof DamagedModel || error instanceof UnsupportedModel)) throw error;
      reads = false;
    }
    if (loads && reads) both += 1;
    if (loads && !reads) stricter += 1;
    // What cannot be read is never called safe; what is read must name all.
    if (reads) {
      const names = new Set([...globals.values()].map(({ module, name }) => `${module}\0${name}`));
      const missed = imported.filter(([module, name]) => !names.has(`${module}\0${name}`));
      if (missed.length > 0) expect([bytes.toString('latin1'), missed]).toEqual(['', []]);
    }
  });
  expect(both).toBeGreaterThan(mutants.length / 50);
  report('pickle mutants against CPython', {
    seed: chance.seed,
    mutants: mutants.length,
    both,
    stricter,
  });
});

function mutate(bases: Buffer[], chance: Seeded): Buffer {
  let bytes = chance.pick(bases);
  for (let i = chance.int(0, 3); i >= 0; i--) {
    const at = chance.int(0, bytes.length + 1);
    const piece = Buffer.from(chance.pick(pieces), 'latin1');
    const removed = chance.pick([0, piece.length, chance.int(1, 5)]);
    const put = removed > 0 && chance.chance(0.4) ? chance.bytes(1) : piece;
    bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + removed)]);
  }
  return bytes;
}
