import { deflateSync, gzipSync } from 'node:zlib';

/** Parts of a pickle: texts are one byte a character. */
export function pickle(...parts: (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)),
  );
}

const P = '\x80\x04';
const MIB = 2 ** 20;
const many = (text: string, times: number) =>
  Buffer.alloc(text.length * times, Buffer.from(text, 'latin1'));
const text = (value: string) => `\x8c${String.fromCharCode(value.length)}${value}`;
const byte = (value: number) => String.fromCharCode(value);

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

const reconstruct = 'cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R';
const dtype = (code: string) => `cnumpy\ndtype\n${text(code)}\x89\x88\x87R`;

/** A dtype of two fields that are both the one before, forty times. */
function dtypeLaughs(): Buffer {
  let made = `${P}cnumpy\ndtype\nq\x000h\x00${text('i1')}\x89\x88\x87Rq\x010`;
  for (let i = 2; i < 45; i++) {
    const before = `h${byte(i - 1)}K\x00\x86`;
    made += `h\x00${text('V4')}\x89\x88\x87Rq${byte(i)}(K\x03${text('|')}N${text('a')}${text('b')}\x86}(${text('a')}${before}${text('b')}${before}uK\x04K\x01K\x00tb0`;
  }
  return pickle(made, reconstruct, `(K\x01K\x02\x85h\x2c\x89C\x08aaaaaaaatb.`);
}

function tupleLaughs(): Buffer {
  let made = `${P})\x94`;
  for (let i = 0; i < 60; i++) made += `h${byte(i)}h${byte(i)}\x86\x94`;
  return pickle(made, '.');
}

/** joblib arrays of objects inside one another. */
function nested(): Buffer {
  const state = `}(${text('shape')}K\x01\x85${text('order')}${text('C')}${text('dtype')}${dtype('O8')}${text('subclass')}Nub`;
  return many(`${P}cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81${state}`, 100_000);
}

/** What a hostile file is, and whether reading it must fail (else it may also end well, within its limits). */
export const hostilePickles: Record<
  string,
  { make: () => Uint8Array; fails: boolean; error?: RegExp }
> = {
  empty: { make: () => pickle(), fails: true, error: /bytes are needed/ },
  'lists without end': {
    make: () => pickle(P, many(']', 6 * MIB), '.'),
    fails: true,
    error: /EMPTY_LIST.*limit/,
  },
  'dicts without end': {
    make: () => pickle(P, many('}', 6 * MIB), '.'),
    fails: true,
    error: /limit/,
  },
  'dicts made and thrown away': {
    make: () => pickle(P, many('}0', 3 * MIB), ']', '.'),
    fails: true,
    error: /limit/,
  },
  'memo entries without end': {
    make: () => pickle(P, ']', many('\x94', 6 * MIB), '.'),
    fails: true,
    error: /MEMOIZE.*memo/,
  },
  'memo entries far apart': {
    make: () => {
      const puts = Array.from({ length: 200_000 }, (_, i) =>
        pickle(']r', u32(0xffffffff - i), '0'),
      );
      return pickle(P, Buffer.concat(puts), 'N.');
    },
    fails: true,
    error: /LONG_BINPUT.*memo entries/,
  },
  'marks without end': {
    make: () => pickle(P, many('(', 6 * MIB), '.'),
    fails: true,
    error: /MARK.*marks/,
  },
  'tuples in tuples': { make: () => pickle(P, ')', many('\x85', 5e6), '.'), fails: false },
  'lists in lists': {
    make: () => pickle(P, many(']', 1e6), many('a', 1e6 - 1), '.'),
    fails: false,
  },
  'tuples that share': { make: tupleLaughs, fails: false },
  'a list in itself': { make: () => pickle(P, ']\x94h\x00a.'), fails: false },
  'an integer of 2 GB': {
    make: () => pickle(P, '\x8b\xff\xff\xff\x7fabc'),
    fails: true,
    error: /LONG4/,
  },
  'an integer of 10 MB': {
    make: () => pickle(P, '\x8b', u32(10e6), many('\x7f', 10e6), '.'),
    fails: true,
    error: /LONG4.*bytes of an integer/,
  },
  'an integer of 2 million digits': {
    make: () => pickle('L', many('9', 2e6), 'L\n.'),
    fails: true,
    error: /LONG.*digits/,
  },
  'a text of 2^63 bytes': {
    make: () => pickle(P, '\x8d', '\xff\xff\xff\xff\xff\xff\xff\x7fx'),
    fails: true,
    error: /BINUNICODE8/,
  },
  'bytes of a terabyte': {
    make: () => pickle(P, '\x8e', u64(1e12), 'x'),
    fails: true,
    error: /BINBYTES8/,
  },
  'a text that is encoded a million times': {
    make: () =>
      pickle(
        P,
        'c_codecs\nencode\n\x940X',
        u32(10e6),
        many('a', 10e6),
        `\x940${text('latin1')}\x940`,
        many('h\x00h\x01h\x02\x86R0', 1e6),
        'N.',
      ),
    fails: true,
    error: /REDUCE.*convert/,
  },
  'names without end': {
    make: () =>
      pickle(P, Array.from({ length: 200_000 }, (_, i) => `cmod${i}\nname\n0`).join(''), 'N.'),
    fails: true,
    error: /GLOBAL.*names/,
  },
  'one state of many objects': {
    make: () =>
      pickle(
        P,
        '}\x94(',
        Array.from({ length: 100_000 }, (_, i) => `${text(`k${i}`)}K\x01`).join(''),
        'u0',
        many('cx\ny\n)\x81h\x00b0', 300_000),
        'N.',
      ),
    fails: false,
  },
  'a dtype of dtypes of dtypes': { make: dtypeLaughs, fails: true, error: /BUILD.*nested/ },
  'a dtype in itself': {
    make: () =>
      pickle(
        P,
        `cnumpy\ndtype\n${text('V4')}\x89\x88\x87Rq\x01(K\x03${text('|')}N${text('a')}\x85}(${text('a')}h\x01K\x00\x86uK\x04K\x01K\x00tb.`,
      ),
    fails: true,
    error: /BUILD.*itself/,
  },
  'elements without bytes': {
    make: () =>
      pickle(
        P,
        reconstruct,
        `(K\x01J\xff\xff\xff\x7f\x85${dtype('U0')}(K\x03${text('<')}NNNK\x00K\x04K\x08tb\x89C\x00tb.`,
      ),
    fails: true,
    error: /BUILD.*without bytes/,
  },
  'a shape of 2^62': {
    make: () =>
      pickle(
        P,
        reconstruct,
        `(K\x01J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86${dtype('f8')}\x89C\x00tb.`,
      ),
    fails: true,
    error: /BUILD.*too large/,
  },
  'a shape that lies': {
    make: () => pickle(P, reconstruct, `(K\x01K\x03\x85${dtype('f8')}\x89C\x08aaaaaaaatb.`),
    fails: true,
    error: /BUILD.*8 bytes/,
  },
  'a negative shape': {
    make: () => pickle(P, reconstruct, `(K\x01J\xff\xff\xff\xff\x85${dtype('f8')}\x89C\x00tb.`),
    fails: true,
    error: /BUILD.*shape/,
  },
  'an opcode over the end of its frame': {
    make: () => pickle(P, '\x95', u64(2), 'B', u32(4), 'aaaa.'),
    fails: true,
    error: /FRAME/,
  },
  'a frame in a frame': {
    make: () => pickle(P, '\x95', u64(11), '\x95', u64(1), 'N.'),
    fails: true,
    error: /FRAME/,
  },
  'a frame beyond the end': {
    make: () => pickle(P, '\x95', u64(100), 'N.'),
    fails: true,
    error: /FRAME/,
  },
  'an extension code': { make: () => pickle(P, '\x82\x01.'), fails: true, error: /EXT1/ },
  'a buffer outside': { make: () => pickle('\x80\x05\x97.'), fails: true, error: /NEXT_BUFFER/ },
  'protocol 9': { make: () => pickle('\x80\x09N.'), fails: true, error: /PROTO.*9/ },
  'a state for a class': {
    make: () => pickle('cos\nsystem\nN}\x86b.'),
    fails: true,
    error: /BUILD/,
  },
  'arrays of objects in one another': { make: nested, fails: true, error: /pickles inside/ },
  'a zlib bomb': {
    make: () => deflateSync(Buffer.alloc(2 ** 28), { level: 9 }),
    fails: true,
    error: /zlib.*limit/,
  },
  'a gzip bomb of many members': {
    make: () => {
      const member = gzipSync(Buffer.alloc(2 ** 26), { level: 9 });
      return Buffer.concat(Array.from({ length: 16 }, () => member));
    },
    fails: true,
    error: /gzip.*limit/,
  },
};
