/** What Python's `\w` matches: letters, numbers and the underscore. */
const WORD = '\\p{L}\\p{N}_';
/** What Python's `\s` matches; JavaScript's is another set. */
export const SPACE =
  '\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const DIGIT = '\\p{Nd}';
/** `\b` between a character of a word and none. */
const BOUNDARY = `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`;

const MOST_LENGTH = 500;
const MOST_REPEATS = 1000;

/**
 * A pattern of Python's `re` that finds words, as a RegExp that finds the same in linear time; undefined where it is more than
 * that. Taken are alternatives of characters and sets of them in a row, between `\b` or not, of which the last may repeat
 * without end: `\b\w\w+\b`, `[a-zA-Z]{3,}`, `\w+|[^\w\s]`. Groups, look-arounds and back references are not, and nothing that
 * matches an empty text.
 */
export function tokenPattern(source: string): RegExp | undefined {
  if (source.length > MOST_LENGTH) return undefined;
  const reader = new PatternReader(source.replace(/^\(\?u\)/, ''));
  const branches: string[] = [];
  do {
    const branch = reader.branch();
    if (branch === undefined) return undefined;
    branches.push(branch);
  } while (reader.skip('|'));
  return reader.atEnd ? new RegExp(branches.join('|'), 'gu') : undefined;
}

interface Item {
  /** A set of characters, as JavaScript writes it. */
  set: string;
  least: number;
  most: number;
}

class PatternReader {
  private at = 0;
  private readonly characters: string[];

  constructor(source: string) {
    this.characters = Array.from(source);
  }

  get atEnd(): boolean {
    return this.at >= this.characters.length;
  }

  skip(text: string): boolean {
    const found = this.characters.slice(this.at, this.at + text.length).join('') === text;
    if (found) this.at += text.length;
    return found;
  }

  /** One alternative. */
  branch(): string | undefined {
    const leading = this.skip('\\b');
    const items: Item[] = [];
    let trailing = false;
    while (!this.atEnd && this.characters[this.at] !== '|' && !trailing) {
      trailing = this.skip('\\b');
      if (trailing) break;
      const item = this.item();
      if (!item) return undefined;
      items.push(item);
    }
    const length = items.reduce((sum, { least }) => sum + least, 0);
    if (length < 1 || (trailing && !leading) || !isLinear(items)) return undefined;
    const body = items.map(({ set, least, most }) => `${set}${repeats(least, most)}`).join('');
    return `${leading ? BOUNDARY : ''}${body}${trailing ? BOUNDARY : ''}`;
  }

  private item(): Item | undefined {
    const set = this.skip('[') ? this.set() : this.single();
    if (set === undefined) return undefined;
    const quantity = this.quantity();
    if (!quantity) return undefined;
    // Lazy and possessive quantifiers are other things.
    return /[+*?{]/.test(this.characters[this.at] ?? '') ? undefined : { set, ...quantity };
  }

  private quantity(): { least: number; most: number } | undefined {
    if (this.skip('+')) return { least: 1, most: Infinity };
    if (this.skip('*')) return { least: 0, most: Infinity };
    if (this.skip('?')) return { least: 0, most: 1 };
    if (!this.skip('{')) return { least: 1, most: 1 };
    const rest = this.characters.slice(this.at, this.at + 10).join('');
    const [all, first, comma, second] = /^(\d+)(,?)(\d*)\}/.exec(rest) ?? [];
    if (all === undefined) return undefined;
    this.at += all.length;
    const least = Number(first);
    const most = comma ? (second ? Number(second) : Infinity) : least;
    const bounded = most === Infinity ? least : most;
    return least <= most && bounded <= MOST_REPEATS ? { least, most } : undefined;
  }

  /** One character outside of brackets. */
  private single(): string | undefined {
    const character = this.characters[this.at++] ?? '';
    if (character === '\\') {
      const inner = this.escaped();
      return inner && `[${inner}]`;
    }
    if (character === '.') return '[^\\n]';
    return /[()[\]{}^$*+?|]/.test(character) ? undefined : `[${literal(character)}]`;
  }

  /** After a backslash: what stands inside brackets for it, with `^` in front where it is all else. */
  private escaped(): string | undefined {
    const character = this.characters[this.at++] ?? '';
    const known: Record<string, string> = {
      w: WORD,
      d: DIGIT,
      s: SPACE,
      W: `^${WORD}`,
      D: `^${DIGIT}`,
      S: `^${SPACE}`,
      n: '\\n',
      t: '\\t',
      r: '\\r',
    };
    if (Object.hasOwn(known, character)) return known[character];
    return /^[\p{P}\p{S} ]$/u.test(character) ? literal(character) : undefined;
  }

  /** After an opening bracket. */
  private set(): string | undefined {
    const negated = this.skip('^');
    const parts: string[] = [];
    while (!this.skip(']') || parts.length === 0) {
      if (this.atEnd) return undefined;
      const first = this.member();
      if (first === undefined) return undefined;
      const next = this.characters[this.at + 1];
      if (this.characters[this.at] === '-' && next !== ']' && next !== undefined) {
        this.at += 1;
        const last = this.member();
        if (last === undefined || ![first, last].every(isOne)) return undefined;
        if ((plain(first).codePointAt(0) ?? 0) > (plain(last).codePointAt(0) ?? 0))
          return undefined;
        parts.push(`${first}-${last}`);
      } else parts.push(first);
    }
    return negated ? negatedSet(parts) : positiveSet(parts);
  }

  private member(): string | undefined {
    const character = this.characters[this.at++] ?? '';
    if (character === '\\') return this.escaped();
    // "[]" and sets within sets mean different things here and there.
    return character === '' || character === '[' || character === ']'
      ? undefined
      : literal(character);
  }
}

function isOne(member: string): boolean {
  return Array.from(plain(member)).length === 1;
}

function plain(member: string): string {
  return member.length > 1 && member.startsWith('\\') ? member.slice(1) : member;
}

function literal(character: string): string {
  return /[\\^$.*+?()[\]{}|/-]/.test(character) ? `\\${character}` : character;
}

function positiveSet(parts: string[]): string | undefined {
  const others = parts.filter((part) => part.startsWith('^'));
  if (others.length === 0) return `[${parts.join('')}]`;
  const sets = parts.map((part) => `[${part}]`);
  return `(?:${sets.join('|')})`;
}

/** None of several: what is no member of any. */
function negatedSet(parts: string[]): string {
  const own = parts.filter((part) => !part.startsWith('^'));
  const others = parts
    .filter((part) => part.startsWith('^'))
    .map((part) => `(?=[${part.slice(1)}])`);
  return `(?:${others.join('')}[^${own.join('')}])`;
}

/** Ways to share a text among items of changing length that may be tried at each place. */
const MOST_WAYS = 10_000;

/** Whether only the end of a row may repeat without end, or what is all of one set, and the rest in few ways. */
function isLinear(items: Item[]): boolean {
  const bounded = items.filter(({ most }) => most !== Infinity);
  const ways = bounded.reduce((product, { least, most }) => product * (most - least + 1), 1);
  if (ways > MOST_WAYS || items.length > 100) return false;
  const endless = items.length - bounded.length;
  if (endless === 0) return true;
  const same = items.every(({ set }) => set === items[0]?.set);
  return endless === 1 && (same || items.at(-1)?.most === Infinity);
}

function repeats(least: number, most: number): string {
  if (most === Infinity) return least === 1 ? '+' : `{${least},}`;
  return least === 1 && most === 1 ? '' : `{${least},${most}}`;
}
