import { RE2JS } from 're2js';
import { ProgramError } from '../program-error.js';
import { elementsOf, textOf, type Bytes } from './byte-texts.js';
import { onlyInput, type Kernel } from './kernel.js';

/** Characters of a pattern, and steps of its program, beyond which RE2 itself mostly refuses for want of memory. */
const MOST = { characters: 16_384, steps: 200_000 } as const;

/** Regular expressions of RE2, whose time is linear in the text (github.com/google/re2; re2js 2.10). Patterns match UTF-8. */
export const patterns: Record<string, Kernel> = {
  /**
   * BYTES of any shape with what the attribute `pattern` finds replaced by `rewrite`, where `\0` to `\9` are groups and `\\` a
   * backslash; all that it finds, or with `all` false the first.
   */
  'replace-pattern': (given) => {
    const pattern = compile(given.text('pattern'), (why) => given.fail(why));
    const parts = rewriteParts(given.text('rewrite')) ?? given.fail('rewrite');
    const all = given.flag('all');
    const groups = Math.max(0, ...parts.map((part) => (typeof part === 'number' ? part : 0)));
    return (inputs) => {
      const input = onlyInput(inputs);
      const elements = elementsOf(input);
      // RE2 replaces nothing where the rewrite names a group that the pattern does not have.
      if (groups > pattern.groupCount()) return [input];
      const data = elements.map((element) => replaced(element, pattern, parts, all));
      return [{ dtype: 'BYTES', shape: input.shape, data }];
    };
  },

  /** Whether the attribute `pattern` matches the whole of BYTES, any shape: BOOL. */
  'match-pattern': (given) => {
    const pattern = compile(given.text('pattern'), (why) => given.fail(why));
    return (inputs) => {
      const input = onlyInput(inputs);
      const data = Uint8Array.from(elementsOf(input), (element) =>
        Number(pattern.matcher(matchable(element)).matches()),
      );
      return [{ dtype: 'BOOL', shape: input.shape, data }];
    };
  },
};

/** Why RE2 does not take a pattern; undefined: it does. */
export function patternFault(pattern: string): string | undefined {
  try {
    compile(pattern, (why) => {
      throw new Error(why);
    });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Whether RE2 takes a rewrite: a backslash stands before a digit or another one only. */
export function isRewrite(rewrite: string): boolean {
  return rewriteParts(rewrite) !== undefined;
}

function compile(pattern: string, fail: (why: string) => never): RE2JS {
  if (pattern.length > MOST.characters)
    fail(`a pattern has more than ${MOST.characters} characters`);
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  if (compiled.programSize() > MOST.steps) fail('a pattern is too large');
  return compiled;
}

/** Texts and numbers of groups in turn. */
function rewriteParts(rewrite: string): (string | number)[] | undefined {
  const parts: (string | number)[] = [];
  let from = 0;
  for (let at = rewrite.indexOf('\\'); at >= 0; at = rewrite.indexOf('\\', from)) {
    const next = rewrite.charAt(at + 1);
    parts.push(rewrite.slice(from, at));
    if (next === '\\') parts.push('\\');
    else if (/^\d$/.test(next)) parts.push(Number(next));
    else return undefined;
    from = at + 2;
  }
  return [...parts, rewrite.slice(from)];
}

function matchable(element: Bytes): string {
  if (typeof element === 'string') return textOf(element);
  throw ProgramError.input(
    '/inputs',
    'A string is not UTF-8 where the model matches a regular expression. Send UTF-8.',
  );
}

/** RE2::GlobalReplace and RE2::Replace: an empty match right behind the last one does not count. */
function replaced(
  element: Bytes,
  pattern: RE2JS,
  parts: (string | number)[],
  all: boolean,
): string {
  const text = matchable(element);
  const matcher = pattern.matcher(text);
  let out = '';
  let end = 0;
  let last = -1;
  while (matcher.find()) {
    const [from, to] = [matcher.start(), matcher.end()];
    if (from === to && (from === last || isInside(text, from))) continue;
    out += text.slice(end, from);
    for (const part of parts) out += typeof part === 'string' ? part : (matcher.group(part) ?? '');
    end = to;
    last = to;
    if (!all) break;
  }
  return out + text.slice(end);
}

/** Whether a place is between the halves of a character. */
function isInside(text: string, at: number): boolean {
  const [before, here] = [text.charCodeAt(at - 1), text.charCodeAt(at)];
  return before >= 0xd800 && before < 0xdc00 && here >= 0xdc00 && here < 0xe000;
}
