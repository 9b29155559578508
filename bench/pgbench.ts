import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

/** A statement as the driver sent it, and what came back. */
export interface SentStatement {
  text: string;
  values: unknown[];
  rows: Record<string, unknown>[];
}

/** Notes the statements that go through the driver of this process; to be made before any connection is. */
export class StatementRecorder {
  private sent: SentStatement[] | undefined;

  constructor() {
    const { prototype } = pg.Client as unknown as { prototype: { query: Query } };
    const query = prototype.query;
    const sentNow = () => this.sent;
    prototype.query = function (this: unknown, ...given: unknown[]): unknown {
      const sent = sentNow();
      return sent
        ? note(sent, given, (...all) => query.apply(this, all))
        : query.apply(this, given);
    };
  }

  /** What was sent while `work` ran. */
  async during(work: () => Promise<unknown>): Promise<SentStatement[]> {
    const sent: SentStatement[] = [];
    this.sent = sent;
    await work();
    this.sent = undefined;
    return sent;
  }
}

/** The driver takes a text with values or an object, and answers by a promise or by a callback. */
function note(
  sent: SentStatement[],
  given: unknown[],
  query: (...given: unknown[]) => unknown,
): unknown {
  const [first, second] = given;
  const { text, values = [] } =
    typeof first === 'string'
      ? { text: first, values: Array.isArray(second) ? (second as unknown[]) : [] }
      : (first as { text: string; values?: unknown[] });
  const statement: SentStatement = { text, values, rows: [] };
  sent.push(statement);
  const answered = (result: unknown) => {
    statement.rows = (result as { rows?: Record<string, unknown>[] } | undefined)?.rows ?? [];
    return result;
  };
  const done = given.at(-1);
  if (typeof done !== 'function') return (query(...given) as Promise<unknown>).then(answered);
  return query(...given.slice(0, -1), (error: unknown, result: unknown) => {
    answered(result);
    (done as (error: unknown, result: unknown) => void)(error, result);
  });
}

type Query = (this: unknown, ...given: unknown[]) => unknown;

/** A script of pgbench, and the variables that are given with it. */
export interface Script {
  text: string;
  variables: Map<string, string>;
}

/**
 * The statements as a script of pgbench, parameter by parameter: a value that came back from an earlier statement is taken
 * from there, one that `known` has is that variable, and any other is a variable of its own.
 * @param head what sets variables before each transaction
 */
export function pgbenchScript(
  statements: SentStatement[],
  known: Map<unknown, string>,
  head: string[],
): Script {
  const names = new Map(known);
  const variables = new Map<string, string>();
  const lines = statements.map(({ text, values, rows }, i) => {
    const parameter = (n: number): string => {
      const value = values[n - 1] ?? null;
      // A variable of pgbench cannot be NULL.
      if (value === null) return 'NULL';
      const name = names.get(value);
      if (name) return name;
      variables.set(`p${i}_${n}`, typeof value === 'string' ? value : JSON.stringify(value));
      return `:p${i}_${n}`;
    };
    const sql = text
      .replaceAll(/\s+/g, ' ')
      .trim()
      .replaceAll(/\$(\d+)/g, (_, n: string) => parameter(Number(n)));
    const [row] = rows;
    if (rows.length !== 1 || !row) return `${sql};`;
    const needed = new Set(statements.slice(i + 1).flatMap((later) => later.values));
    const found = Object.entries(row).filter(
      ([, value]) => isTelling(value) && needed.has(value) && !names.has(value),
    );
    for (const [column, value] of found) names.set(value, `:s${i}_${column}`);
    return found.length > 0 ? `${sql} \\gset s${i}_` : `${sql};`;
  });
  return { text: [...head, ...lines, ''].join('\n'), variables };
}

/** Ids and the large numbers of the bench: nothing else has the same value by chance. */
function isTelling(value: unknown): boolean {
  return typeof value === 'string'
    ? value.length === 36
    : typeof value === 'number' && value > 5000;
}

/** The version of pgbench; undefined where there is none. */
export function pgbenchVersion(): string | undefined {
  const { stdout, status } = spawnSync('pgbench', ['--version'], { encoding: 'utf8' });
  return status === 0 ? /[\d.]+/.exec(stdout)?.[0] : undefined;
}

/** Runs a script with prepared statements; gives the transactions a second. */
export function runPgbench(
  url: string,
  { text, variables }: Script,
  clients: number,
  seconds: number,
): number {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-pgbench-'));
  try {
    const file = join(folder, 'script.sql');
    writeFileSync(file, text);
    const args = ['-n', '-M', 'prepared', '-c', clients, '-j', 1, '-T', seconds, '-D', 'turn=-1'];
    for (const [name, value] of variables) args.push('-D', `${name}=${value}`);
    const { stdout, stderr, status } = spawnSync(
      'pgbench',
      [...args.map(String), '-f', file, url],
      { encoding: 'utf8' },
    );
    const rate = Number(/tps = ([\d.]+)/.exec(stdout)?.[1]);
    if (status !== 0 || !(rate > 0)) throw new Error(`pgbench failed: ${stderr}\n${text}`);
    return rate;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
