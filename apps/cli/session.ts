import type { Command } from 'commander';
import { isTraceparent, newTraceparent, Slipway, SlipwayError } from '#sdk';
import { CommandError, UsageError } from './failure.js';
import { UploadFolder } from './upload-folder.js';

/** What every command works with. */
export interface Session {
  slipway: Slipway;
  json: boolean;
  /** The words that a suggested command must repeat to reach the same server. */
  where: string;
}

/** A person waits: a server that is away is told within a second or two. */
const RETRY = { attempts: 4, minDelay: 150, maxDelay: 2_000 };

/**
 * Runs a command against the server that its options name. A refusal of the server gets the command to type next from
 * `next`, if it knows one for that error.
 */
export async function withServer(
  command: Command,
  run: (session: Session) => Promise<void>,
  next: (error: SlipwayError) => string | undefined = () => undefined,
): Promise<void> {
  const { url, json, traceparent } = command.optsWithGlobals<{
    url?: string;
    json?: boolean;
    traceparent?: string;
  }>();
  const slipway = new Slipway({
    ...(url === undefined ? {} : { url }),
    retry: RETRY,
    trace: traceOf(traceparent),
    uploadMemory: new UploadFolder(),
  });
  const where = url === undefined ? '' : ` --url ${url}`;
  try {
    await run({ slipway, json: json === true, where });
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    const suggestion = next(error);
    throw new CommandError(error, suggestion && suggestion + where);
  }
}

/** All requests of a command are one trace: the one that it is told, by option or by `TRACEPARENT`, or a new one. */
function traceOf(option: string | undefined): string {
  if (option !== undefined && !isTraceparent(option)) {
    throw new UsageError(
      `${JSON.stringify(option)} is no W3C traceparent, like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.`,
    );
  }
  const { TRACEPARENT = '' } = process.env;
  return option ?? (isTraceparent(TRACEPARENT) ? TRACEPARENT : newTraceparent());
}

/** Collects a repeated option `k=v`. */
export function collectPair(
  text: string,
  before: Record<string, string> = {},
): Record<string, string> {
  const equals = text.indexOf('=');
  if (equals <= 0) throw new UsageError(`${JSON.stringify(text)} is not of the form name=value.`);
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
}

/** Collects a repeated option. */
export function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** A number of an option. */
export function parseNumber(text: string): number {
  const number = Number(text);
  if (text.trim() !== '' && Number.isFinite(number)) return number;
  throw new UsageError(`${JSON.stringify(text)} is not a number.`);
}

/** `none`, or the number of a version. */
export function parseCurrent(text: string): number | null {
  if (text === 'none') return null;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new UsageError(`${JSON.stringify(text)} is neither the number of a version nor "none".`);
}
