import { readFile } from 'node:fs/promises';
import { text as textOf } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { NestedOutput, Prediction, PredictOptions, VersionReference } from '#sdk';
import { Slipway, writeExact } from '#sdk';
import { UsageError } from '../failure.js';
import { note, print, printJson, printTable } from '../output.js';
import { readInput } from '../prediction-input.js';
import { parseReference, referenceText } from '../reference.js';
import type { Session } from '../session.js';
import { collect, withServer } from '../session.js';

const HELP = `
FILE is one of
  a V2 request            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}
  values by input         {"x": [[5.1, 3.5, 1.4, 0.2]]}
  values of the only one  [[5.1, 3.5, 1.4, 0.2]]
  CSV with a header       its columns are inputs of these names, or together the rows of the only input

Examples
  echo '[[5.1, 3.5, 1.4, 0.2]]' | slipway predict iris --input -
  slipway predict churn@champion --input customers.csv --json
  slipway predict --local model.pkl --input customers.csv`;

interface Options {
  input: string;
  output?: string[];
  signature?: string;
  local?: true;
}

export function addPredict(program: Command): void {
  program
    .command('predict')
    .description('ask a model for predictions and print its outputs')
    .argument(
      '<reference>',
      'NAME (what is in production), NAME/version or NAME@alias; a path with --local',
    )
    .option('--local', 'ask no server: a pulled folder, a model file or a Program on this machine')
    .requiredOption('--input <file>', 'a file, or - for standard input')
    .option('--signature <name>', 'which signature of the model, where it has several')
    .option('--output <name>', 'only this output (repeat it for more)', collect)
    .addHelpText('after', HELP)
    .action((text: string, options: Options, command: Command) => {
      if (options.local) return predictLocally(text, options, command);
      const { name, version } = parseReference(text);
      const reference = referenceText(name, version);
      return withServer(
        command,
        (session) => predict(session, name, version, options),
        (error) => {
          if (error.status === 404)
            return version === undefined ? `slipway show ${name}` : `slipway versions ${name}`;
          return error.status === 400 || error.status === 503
            ? `slipway show ${version === undefined ? `${name}/production` : reference}`
            : undefined;
        },
      );
    });
}

/** The same request and the same errors; with `--json` the V2 answer. */
async function predictLocally(path: string, options: Options, command: Command): Promise<void> {
  // Loaded only here, so that asking a server starts fast.
  const { localServing } = await import('../local-serving.js');
  const url = 'http://local';
  const slipway = new Slipway({ url, servingUrl: url, fetch: await localServing(path) });
  const asked = askedOf(options);
  const inputs = await readInput(await readText(options.input), sourceOf(options), () =>
    slipway.inputs(path, asked),
  );
  const how = { ...asked, ...inputs.options };
  const prediction = await slipway.predict(path, inputs.values, how);
  if (command.optsWithGlobals<{ json?: boolean }>().json) return printJson(prediction.raw);
  tell(prediction);
}

async function predict(
  { slipway, json }: Session,
  name: string,
  version: VersionReference | undefined,
  options: Options,
): Promise<void> {
  const text = await readText(options.input);
  const how: PredictOptions = {
    ...(version === undefined ? {} : { version }),
    ...askedOf(options),
  };
  const inputs = await readInput(text, sourceOf(options), () => slipway.inputs(name, how));
  const prediction = await slipway.predict(name, inputs.values, { ...how, ...inputs.options });
  if (json)
    return printJson({ model: name, version: prediction.version, outputs: prediction.outputs });
  tell(prediction);
  note(`${name}/${prediction.version} answered`);
}

function askedOf({ output, signature }: Options): PredictOptions {
  return {
    ...(output ? { outputs: output } : {}),
    ...(signature === undefined ? {} : { signature }),
  };
}

function sourceOf({ input }: Options): string {
  return input === '-' ? 'standard input' : input;
}

async function readText(input: string): Promise<string> {
  if (input === '-') return textOf(process.stdin);
  return readFile(input, 'utf8').catch(() => {
    throw new UsageError(`${input} cannot be read.`);
  });
}

/** Outputs of one row each side by side, others one after another. */
function tell({ outputs, raw }: Prediction): void {
  const names = Object.keys(outputs);
  const rows = raw.outputs[0]?.shape[0] ?? 0;
  const rowwise = raw.outputs.every(({ shape }) => shape[0] === rows && shape.length <= 2);
  if (!rowwise) {
    for (const name of names) print(`${name}: ${writeExact(outputs[name])}`);
    return;
  }
  const cells = Array.from({ length: rows }, (_, row) =>
    names.map((name) => cellText(outputs[name], row)),
  );
  printTable(names, cells);
}

function cellText(output: NestedOutput | undefined, row: number): string {
  const value = Array.isArray(output) ? output[row] : undefined;
  if (Array.isArray(value)) return value.map((element) => elementText(element)).join(' ');
  return elementText(value ?? null);
}

function elementText(value: NestedOutput): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? String(value) : writeExact(value);
}
