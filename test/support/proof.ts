/** `npm run proof` runs the proofs by faults in their long form, `npm test` in their short one. */
export const long = process.env.PROOF === 'long';

/** How much of something a proof does: rounds, kills, mutations. */
export function amount(short: number, longer: number): number {
  return long ? longer : short;
}

/** What a proof has measured, said beside its result: a green line alone does not tell how much was tried. */
export function report(what: string, figures: Record<string, number | string>): void {
  const said = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  process.stdout.write(`${what}: ${said.join(', ')}\n`);
}

/** Says where a proof is, to those who ask by `PROOF_PROGRESS=1`. */
export function progress(what: string): void {
  if (process.env.PROOF_PROGRESS) process.stderr.write(`${what}\n`);
}

/** Time limit of a proof (ms): minutes in its short form, hours in its long one. */
export const proofTimeout = long ? 4 * 3_600_000 : 360_000;
