import type { Command } from 'commander';
import { UsageError } from '../failure.js';
import { bytesText, note, print, printJson } from '../output.js';
import { withServer } from '../session.js';

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

export function addGc(program: Command): void {
  program
    .command('gc')
    .description('remove what no version needs: bytes of deleted versions and of uploads given up')
    .option('--grace <time>', 'leave alone what is younger, such as 90s, 30m, 1h, 7d', parseTime)
    .option('--dry-run', 'only say what would be removed')
    .action((options: { grace?: number; dryRun?: boolean }, command: Command) =>
      withServer(command, async ({ slipway, json, where }) => {
        const { grace, dryRun = false } = options;
        const how = grace === undefined ? {} : { graceSeconds: grace };
        const collected = await slipway.gc({ ...how, dryRun });
        if (json) return printJson(collected);
        const { blobs, uploads, bytes } = collected;
        const verb = dryRun ? 'would remove' : 'removed';
        print(`${verb} ${blobs} blobs and ${uploads} uploads, ${bytesText(bytes)}`);
        if (dryRun && blobs + uploads > 0) note(`next: slipway gc${where}`);
      }),
    );
}

/** A time in seconds. */
function parseTime(text: string): number {
  const [, count, unit = 's'] = /^(\d+(?:\.\d+)?)([smhd])?$/.exec(text) ?? [];
  const seconds = UNITS[unit];
  if (count !== undefined && seconds !== undefined) return Number(count) * seconds;
  throw new UsageError(`${JSON.stringify(text)} is no time: write 90s, 30m, 1h or 7d.`);
}
