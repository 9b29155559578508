import type { Command } from 'commander';
import { note, print, printJson } from '../output.js';
import { operate } from '../operation.js';

const HELP = `
"slipway start" migrates by itself; this is for a registry that runs by itself. It reads DATABASE_URL, or DATA_DIR for the
embedded PostgreSQL. Any number of these may run at once, and one that was killed may be run again.

Exit codes: 0 up to date, 1 refused, 69 database not reachable, 78 wrong configuration.`;

export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('bring the database up to date with this version (npm run migration:run)')
    .addHelpText('after', HELP)
    .action((_: object, command: Command) =>
      operate(async (config) => {
        const { migrate, openForCommand } = await import('#database');
        const database = await openForCommand(config, { create: true });
        try {
          const onWait = () =>
            note('Another process migrates, or makes a backup; waiting for it …');
          const ran = await migrate(database.url, { onWait });
          if (command.optsWithGlobals<{ json?: boolean }>().json) return printJson({ ran });
          for (const name of ran) print(`ran ${name}`);
          if (ran.length === 0) print('the database is up to date');
        } finally {
          await database.close();
        }
      }),
    );
}
