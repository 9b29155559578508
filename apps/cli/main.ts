#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addAlias } from './commands/alias.js';
import { addBackup } from './commands/backup.js';
import { addConvert } from './commands/convert.js';
import { addDiff } from './commands/diff.js';
import { addDoctor } from './commands/doctor.js';
import { addGc } from './commands/gc.js';
import { addLists } from './commands/lists.js';
import { addLog } from './commands/log.js';
import { addMigrate } from './commands/migrate.js';
import { addPredict } from './commands/predict.js';
import { addPull } from './commands/pull.js';
import { addShow } from './commands/show.js';
import { addStages } from './commands/stages.js';
import { addStart } from './commands/start.js';
import { addVerify } from './commands/verify.js';
import { exitCodeOf, tellFailure } from './failure.js';

const REFERENCES = `
A version is written NAME/3, NAME@champion (an alias), NAME/production, NAME/staging or NAME/latest.

Exit codes: 0 done, 1 refused by the server (verify: something is damaged), 2 wrong usage, 69 server not reachable.`;

const program = new Command('slipway')
  .description('Log models, promote them, roll them back, and ask them for predictions.')
  .version(packageVersion())
  .option(
    '--url <url>',
    'address of the registry (default: $SLIPWAY_URL, else http://127.0.0.1:5000)',
  )
  .option('--json', 'print JSON')
  .option(
    '--traceparent <value>',
    'W3C trace that the requests belong to (default: $TRACEPARENT, else a new one)',
  )
  .configureHelp({ showGlobalOptions: true })
  .addHelpText('after', REFERENCES)
  .showHelpAfterError('Type slipway --help, or slipway COMMAND --help.')
  .exitOverride();

for (const add of [
  addStart,
  addLog,
  addLists,
  addShow,
  addStages,
  addAlias,
  addPredict,
  addPull,
  addConvert,
  addDiff,
  addGc,
  addVerify,
  addDoctor,
  addBackup,
  addMigrate,
])
  add(program);

// Whoever reads the output may have had enough of it, as `head` has.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  // Commander has told what is wrong with the usage by itself.
  if (!(error instanceof CommanderError)) tellFailure(error, program.opts().json === true);
  process.exitCode = exitCodeOf(error);
}

function packageVersion(): string {
  const file = new URL('../../../package.json', import.meta.url);
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
  const known = typeof value === 'object' && value !== null && 'version' in value;
  return known ? String(value.version) : 'unknown';
}
