import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from './config.js';

/**
 * True while the server still prepares what it was asked for (the demo models): `/readyz` must not say 200 before.
 * A file, because every process at either port has to know.
 */
export function isStarting(config: Config): boolean {
  return existsSync(mark(config));
}

/** Sets or takes away the mark that {@link isStarting} reads. For the server alone. */
export async function setStarting(config: Config, starting: boolean): Promise<void> {
  if (starting) await writeFile(mark(config), '');
  else await rm(mark(config), { force: true });
}

function mark(config: Config): string {
  return join(config.DATA_DIR, 'starting');
}
