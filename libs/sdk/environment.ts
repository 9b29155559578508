/** True in Node; a browser has no `process`, or a polyfill without versions. */
export function isNode(): boolean {
  return typeof process !== 'undefined' && typeof process.versions?.node === 'string';
}

/** A variable of the environment; a browser has none. */
export function variable(name: string): string | undefined {
  return isNode() ? process.env[name] : undefined;
}

/** A random UUID. `crypto.randomUUID` exists only in secure contexts, which a page served over plain HTTP in a team's network is not. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
