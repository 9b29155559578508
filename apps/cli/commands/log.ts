import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import type { Dataset, InputExample, LogModelOptions, ModelVersion, Signature } from '#sdk';
import { parseExact, SlipwayError } from '#sdk';
import { CommandError, UsageError } from '../failure.js';
import { bytesText, note, print, printJson } from '../output.js';
import { ProgressBar } from '../progress-bar.js';
import { parseName, parseVersionReference } from '../reference.js';
import type { Session } from '../session.js';
import { collect, collectPair, parseNumber, withServer } from '../session.js';

interface LogOptions {
  metric?: Record<string, string>;
  param?: Record<string, string>;
  tag?: Record<string, string>;
  description?: string;
  format?: string;
  example?: string;
  signature?: string;
  run?: string;
  dataset?: string[];
  parent?: string[];
  promote?: boolean;
  reason?: string;
  wait: number;
}

export function addLog(program: Command): void {
  program
    .command('log')
    .description('make a version of a model from a file or a folder; prints its number last')
    .argument('<name>', 'the model, made if it does not exist')
    .argument('<path>', 'a file, or a folder whose files become those of the version')
    .option('--metric <name=number>', 'a metric (repeat it for more)', collectPair)
    .option('--param <name=value>', 'a parameter of the training', collectPair)
    .option('--tag <name=value>', 'a tag', collectPair)
    .option('--description <text>', 'what the version is')
    .option('--format <format>', 'onnx, xgboost, lightgbm …; recognised by itself otherwise')
    .option('--example <file>', 'JSON: a V2 request, with "expected" tensors as golden rows')
    .option('--signature <file>', 'JSON: {"inputs": [{"name", "dtype", "shape"}], "outputs": […]}')
    .option('--run <id>', 'the run that made it')
    .option('--dataset <name[=source]>', 'a data set that it was trained on', collect)
    .option('--parent <NAME/version>', 'a version that it derives from', collect)
    .option('--promote', 'promote it to Production')
    .option('--reason <text>', 'why it is promoted')
    .option('--wait <seconds>', 'how long to wait for the verdict of the server', parseNumber, 20)
    .action((name: string, path: string, options: LogOptions, command: Command) =>
      withServer(
        command,
        (session) => log(session, parseName(name), path, options),
        (error) => (error.status === 409 ? `slipway versions ${name}` : undefined),
      ),
    );
}

async function log(
  session: Session,
  name: string,
  path: string,
  options: LogOptions,
): Promise<void> {
  const { slipway, json, where } = session;
  const bar = new ProgressBar(basename(path));
  let skipped = 0;
  const given = await describe(name, options);
  const logged = await slipway
    .logModel({
      ...given,
      name,
      path,
      onProgress: (progress) => {
        skipped = progress.skipped;
        const done = progress.sent + progress.skipped;
        const working = progress.hashed < progress.total ? 'hashing' : 'sending';
        bar.show(done, progress.total, progress.phase === 'commit' ? 'saving' : working);
      },
    })
    .finally(() => bar.stop());
  const reference = `${name}/${logged.version}`;
  const files = logged.files?.length ?? 0;
  const stored = skipped > 0 ? `, ${bytesText(skipped)} of it already stored` : '';
  note(
    `${reference}: ${files} ${files === 1 ? 'file' : 'files'}, ${bytesText(logged.size)}${stored}`,
  );
  const checked = await verdictOf(session, logged, options.wait);
  try {
    if (options.promote) {
      const reason = options.reason === undefined ? {} : { reason: options.reason };
      const { serving } = await slipway.promote(name, logged.version, reason);
      note(`${reference} is in Production; serving: ${serving}`);
    }
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    throw new CommandError(error, `slipway show ${reference}${where}`);
  } finally {
    // The version exists, whatever became of its promotion.
    if (json) printJson(options.promote ? await slipway.version(name, logged.version) : checked);
    else print(String(logged.version));
  }
  if (options.promote) note(`next: slipway predict ${name} --input FILE${where}`);
  else if (checked.serving.state === 'servable') note(`next: slipway promote ${reference}${where}`);
  else note(`next: slipway show ${reference}${where}`);
}

/** Says whether the version can be served, as far as that is known in time. */
async function verdictOf(
  { slipway }: Session,
  logged: ModelVersion,
  timeout: number,
): Promise<ModelVersion> {
  const reference = `${logged.model}/${logged.version}`;
  try {
    const checked = await slipway.checked(logged.model, logged.version, { timeout });
    const { state, reason } = checked.serving;
    note(
      `${reference} is ${state}${checked.format ? ` (${checked.format})` : ''}${reason ? `: ${reason}` : ''}`,
    );
    return checked;
  } catch (error) {
    if (!(error instanceof SlipwayError) || error.code !== 'DEADLINE_EXCEEDED') throw error;
    note(`${reference} is still being compiled`);
    return logged;
  }
}

async function describe(name: string, options: LogOptions): Promise<LogModelOptions> {
  const { description, format, tag = {}, param = {}, metric = {}, run } = options;
  const metrics = Object.entries(metric).map(([key, text]) => [key, parseMetric(key, text)]);
  const datasets = (options.dataset ?? []).map(parseDataset);
  const parents = (options.parent ?? []).map((text) => {
    const { name: model, version } = parseVersionReference(text);
    if (typeof version === 'number') return { model, version };
    throw new UsageError(`--parent needs the number of a version, such as ${model}/1.`);
  });
  return {
    name,
    tags: tag,
    params: param,
    metrics: Object.fromEntries(metrics),
    ...(description === undefined ? {} : { description }),
    ...(format === undefined ? {} : { format }),
    ...(options.example ? { inputExample: await readExample(options.example) } : {}),
    ...(options.signature
      ? { signature: await readJson<Signature>(options.signature, 'inputs') }
      : {}),
    lineage: { ...(run === undefined ? {} : { run }), datasets, parents },
  };
}

function parseMetric(name: string, text: string): number | string {
  if (/^(NaN|[+-]?Infinity)$/.test(text)) return text.replace('+', '');
  if (text.trim() !== '' && Number.isFinite(Number(text))) return Number(text);
  throw new UsageError(`The metric ${name} is not a number: ${JSON.stringify(text)}.`);
}

function parseDataset(text: string): Dataset {
  const [name = '', ...source] = text.split('=');
  return source.length > 0 ? { name, source: source.join('=') } : { name };
}

/** An input example by itself, or a document that has one. */
async function readExample(file: string): Promise<InputExample> {
  const value = await readJson<InputExample & { inputExample?: InputExample }>(file);
  const example = value.inputExample ?? value;
  if (Array.isArray(example.inputs)) return example;
  throw new UsageError(`${file} has no "inputs": a V2 request was expected.`);
}

async function readJson<T extends object>(file: string, member?: string): Promise<T> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new UsageError(`${file} cannot be read.`);
  });
  try {
    const value = parseExact(text);
    if (typeof value === 'object' && value !== null && (!member || member in value))
      return value as T;
  } catch {
    // Told below.
  }
  throw new UsageError(`${file} is not a JSON object${member ? ` with "${member}"` : ''}.`);
}
