import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Browser, chromium } from 'playwright-core';

/** Where Debian, and others, put it; `CHROMIUM` names another. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** The program of the browser; without one it is said aloud what is left out. */
export function findChromium(leftOut: string): string | undefined {
  const found = [process.env['CHROMIUM'] ?? '', ...PLACES].find((file) => existsSync(file));
  if (found === undefined)
    process.stderr.write(
      `\nNo Chromium (apt-get install chromium, or CHROMIUM): ${leftOut} is left out.\n`,
    );
  return found;
}

/** A browser without a window. Containers seldom allow its sandbox, and it sees nothing but our own pages. */
export function startChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** Makes the file that the registry hands to browsers, dist/sdk/program.js, from what is compiled now. */
export async function buildForBrowsers(): Promise<void> {
  await promisify(execFile)(process.execPath, [join('scripts', 'build-browser.mjs')]);
}
