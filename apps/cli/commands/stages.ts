import type { Command } from 'commander';
import type { Promotion, SlipwayError, Stage } from '#sdk';
import { UsageError } from '../failure.js';
import { note, print, printJson } from '../output.js';
import { parseName, parseVersionReference, referenceText } from '../reference.js';
import type { Session } from '../session.js';
import { parseCurrent, parseNumber, withServer } from '../session.js';

/** What a change of a stage or an alias may say. */
export interface ChangeOptions {
  reason?: string;
  ifCurrent?: number | null;
  wait?: number;
  unserved?: boolean;
}

const STAGES: Stage[] = ['Production', 'Staging', 'Archived', 'None'];

export function addStages(program: Command): void {
  const promote = program
    .command('promote')
    .description('give a version a stage, Production by default, and wait until it answers')
    .argument('<reference>', 'NAME/version or NAME@alias')
    .option('--stage <stage>', STAGES.join(', '), parseStage);
  changeOptions(promote).action(
    (text: string, options: ChangeOptions & { stage?: Stage }, command: Command) => {
      const { name, version } = parseVersionReference(text);
      return withServer(
        command,
        async (session) => {
          const answer = await session.slipway.promote(name, version, options);
          tell(session, answer, `${referenceText(name, version)} has that stage already`);
          if (answer.transition && answer.serving === 'ready')
            note(`next: slipway predict ${name} --input FILE${session.where}`);
        },
        (error) => nextOfChange(error, name, referenceText(name, version)),
      );
    },
  );
  const rollback = program
    .command('rollback')
    .description('take back the last promotion of a model')
    .argument('<name>')
    .option('--reason <text>', 'why, for the history')
    .option('--if-current <version>', 'only if this version is in Production now', parseCurrent)
    .option('--wait <seconds>', 'how long to wait for serving', parseNumber);
  rollback.action((text: string, options: Omit<ChangeOptions, 'unserved'>, command: Command) => {
    const name = parseName(text);
    return withServer(
      command,
      async (session) => tell(session, await session.slipway.rollback(name, options), ''),
      (error) => nextOfChange(error, name, `${name}/VERSION`),
    );
  });
}

/** Adds the options that every change of a stage or an alias takes. */
export function changeOptions(command: Command): Command {
  return command
    .option('--reason <text>', 'why, for the history')
    .option('--if-current <version>', 'only if this version (or "none") has it now', parseCurrent)
    .option('--wait <seconds>', 'how long to wait for serving', parseNumber)
    .option('--unserved', 'record it although the version cannot be served');
}

/** Prints what became of a change. */
export function tell({ json }: Session, answer: Promotion, unchanged: string): void {
  if (json) return printJson(answer);
  const { transition, model, serving } = answer;
  if (!transition) return print(`${unchanged}; serving: ${serving}`);
  const { version, to, previousVersion } = transition;
  const what = `${model.name}/${version} is ${to ?? 'None'} now`;
  const instead =
    previousVersion === null || previousVersion === version
      ? ''
      : `, instead of ${previousVersion}`;
  print(`${what}${instead}; serving: ${serving}`);
  const { reason } = model.serving;
  if ((serving === 'failed' || serving === 'unserved') && reason) note(reason);
}

/** The command that helps after a refused change. */
export function nextOfChange(
  error: SlipwayError,
  name: string,
  reference: string,
): string | undefined {
  if (error.status === 404) return `slipway versions ${name}`;
  if (error.code === 'CONFLICT') return `slipway show ${name}`;
  if (error.code === 'FAILED_PRECONDITION')
    return reference.endsWith('/VERSION')
      ? `slipway promote ${reference}`
      : `slipway show ${reference}`;
  return error.code === 'UNAVAILABLE' ? `slipway show ${reference}` : undefined;
}

function parseStage(text: string): Stage {
  const stage = STAGES.find((known) => known.toLowerCase() === text.toLowerCase());
  if (stage) return stage;
  throw new UsageError(`${JSON.stringify(text)} is no stage: ${STAGES.join(', ')}.`);
}
