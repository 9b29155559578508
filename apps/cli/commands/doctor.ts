import type { Command } from 'commander';
import type { Finding } from '#doctor';
import { note, print, printJson } from '../output.js';

const FAILED = 1;
const MARKS = { ok: 'ok     ', warning: 'WARNING', failure: 'FAILURE' };

const HELP = `
Reads the same environment variables as the server, changes nothing, and may be run while the server runs or is stopped.

Exit codes: 0 nothing failed (there may be warnings), 1 a check failed (also where the database or the store is away).`;

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check configuration, disk, database, store, clocks and ports, and say what to do')
    .addHelpText('after', HELP)
    .action(async (_: object, command: Command) => {
      const { diagnose } = await import('#doctor');
      const json = command.optsWithGlobals<{ json?: boolean }>().json === true;
      const findings: Finding[] = [];
      for await (const finding of diagnose()) {
        findings.push(finding);
        if (json) continue;
        print(`${MARKS[finding.state]}  ${finding.check.padEnd(13)}  ${finding.message}`);
        if (finding.next) print(`${' '.repeat(24)}→ ${finding.next}`);
      }
      const count = (state: Finding['state']) => findings.filter((f) => f.state === state).length;
      const [failures, warnings] = [count('failure'), count('warning')];
      if (json) printJson({ ok: failures === 0, failures, warnings, findings });
      else
        note(
          failures + warnings === 0 ? 'all is well' : `${failures} failed, ${warnings} warnings`,
        );
      // Whatever hangs in a check that was given up does not keep this command.
      process.exit(failures > 0 ? FAILED : 0);
    });
}
