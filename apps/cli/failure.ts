import { CommanderError } from 'commander';
import { SlipwayError } from '#sdk';
import { printable } from './output.js';

const REFUSED = 1;
const USAGE = 2;
const UNREACHABLE = 69;

/** A command that cannot be meant as it was typed. */
export class UsageError extends Error {
  constructor(
    message: string,
    /** What to type instead. */
    readonly next?: string,
  ) {
    super(message);
  }
}

/** A failure of the server's, with what the command that met it suggests. */
export class CommandError extends Error {
  constructor(
    override readonly cause: SlipwayError,
    readonly next: string | undefined,
  ) {
    super(cause.message);
  }
}

/** A failure of a command that works on this machine instead of asking a server. */
export class OperationError extends Error {
  constructor(
    message: string,
    readonly exitCode: number,
    readonly code: string,
    readonly next?: string,
  ) {
    super(message);
  }
}

/** The exit code of a failed command (sysexits.h for what cannot be reached). */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) {
    const harmless = ['commander.help', 'commander.helpDisplayed', 'commander.version'];
    return harmless.includes(error.code) && error.exitCode === 0 ? 0 : USAGE;
  }
  if (error instanceof UsageError) return USAGE;
  if (error instanceof OperationError) return error.exitCode;
  const cause = error instanceof CommandError ? error.cause : error;
  if (!(cause instanceof SlipwayError)) return REFUSED;
  if (cause.code === 'UNREACHABLE' || cause.code === 'NOT_A_SLIPWAY_SERVER') return UNREACHABLE;
  return cause.status === 0 && cause.code === 'INVALID_ARGUMENT' ? USAGE : REFUSED;
}

/** Says on stderr what happened and which command to type next. */
export function tellFailure(error: unknown, json: boolean): void {
  const message = error instanceof Error ? error.message : String(error);
  const cause = error instanceof CommandError ? error.cause : error;
  const next = nextOf(error);
  if (json) {
    const known = cause instanceof SlipwayError ? cause : undefined;
    const { status = 0, errors = [] } = known ?? {};
    const code = known?.code ?? (error instanceof OperationError ? error.code : 'USAGE');
    console.error(JSON.stringify({ error: { status, code, message, errors, next } }));
    return;
  }
  console.error(`error: ${printable(message)}`);
  if (cause instanceof SlipwayError)
    for (const field of cause.errors)
      if (!message.includes(field.message))
        console.error(`  ${printable(field.pointer)}: ${printable(field.message)}`);
  if (next) console.error(`next: ${printable(next)}`);
}

function nextOf(error: unknown): string | undefined {
  if (error instanceof UsageError || error instanceof OperationError) return error.next;
  const cause = error instanceof CommandError ? error.cause : error;
  if (!(cause instanceof SlipwayError)) return undefined;
  if (cause.code === 'UNREACHABLE') return 'slipway start   (or name a server with --url)';
  if (cause.code === 'NOT_A_SLIPWAY_SERVER') return 'slipway ls --url http://HOST:PORT';
  if (cause.status === 401) return 'export SLIPWAY_TOKEN=…   (the token of the server)';
  return error instanceof CommandError ? error.next : undefined;
}
