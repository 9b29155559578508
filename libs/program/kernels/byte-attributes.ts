import { elementOf } from './byte-texts.js';
import type { KernelArguments } from './kernel.js';

/** The strings of an attribute; those at the places of the attribute `bytes` are Base64 of what is no UTF-8. */
export function bytesIn(
  given: KernelArguments,
  name: string,
  bytes: string,
): (string | Uint8Array)[] {
  const data: (string | Uint8Array)[] = [...given.strings(name)];
  for (const place of given.has(bytes) ? given.numbers(bytes) : []) {
    const text = data[place];
    if (typeof text !== 'string') return given.fail(bytes);
    data[place] = elementOf(Uint8Array.from(decoded(given, text), (c) => c.charCodeAt(0)));
  }
  return data;
}

function decoded(given: KernelArguments, text: string): string {
  try {
    return atob(text);
  } catch {
    return given.fail('a string is no Base64');
  }
}
