import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { InferTensor, LogModelOptions, Server } from '#sdk';
import { Slipway, SlipwayError } from '#sdk';

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url));
/** Seconds for a version to be compiled, and for serving to answer with it. */
const PATIENCE = 60;

/** What stands in an `example.json` beside a model. */
interface Example extends Omit<LogModelOptions, 'name'> {
  file: string;
  inputExample: { inputs: InferTensor[] };
}

/**
 * Logs the models of `examples/` to the server at `url`, the first version of each in production, waits until all of them
 * answer predictions, and prints the commands that predict, promote and roll back. What is there already is left as it is,
 * so that a second start changes nothing.
 *
 * @throws SlipwayError where the server refuses something, or a model does not answer in time
 */
export async function demo(url: string, tell: (line: string) => void = console.log): Promise<void> {
  const slipway = new Slipway({ url, actor: 'demo' });
  const examples = new Map<string, Example>();
  for (const name of await foldersIn(EXAMPLES)) {
    for (const version of await foldersIn(join(EXAMPLES, name))) {
      const example = await logExample(slipway, name, Number(version));
      if (!examples.has(name)) examples.set(name, example);
    }
    await promoteFirst(slipway, name);
  }
  for (const [name, example] of examples) await untilItAnswers(slipway, name, example);
  const server = await slipway.server();
  for (const line of instructions(url, server, examples)) tell(line);
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** Logs a version unless the model has come that far. */
async function logExample(slipway: Slipway, name: string, version: number): Promise<Example> {
  const folder = join(EXAMPLES, name, String(version));
  const example = JSON.parse(await readFile(join(folder, 'example.json'), 'utf8')) as Example;
  const { file, ...described } = example;
  const latest = (await modelOrNone(slipway, name))?.latestVersion ?? 0;
  if (latest >= version) return example;
  await slipway.logModel({ ...described, name, path: join(folder, file) });
  return example;
}

/** Promotes version 1 of a model that has no history yet; what people did since is theirs. */
async function promoteFirst(slipway: Slipway, name: string): Promise<void> {
  const [transition] = await slipway.transitions(name).take(1);
  if (transition) return;
  await slipway.checked(name, 1, { timeout: PATIENCE });
  await slipway.promote(name, 1, { reason: 'demo', wait: PATIENCE });
}

/** Asks for a prediction until one comes; a model that nothing serves any more is passed over. */
async function untilItAnswers(slipway: Slipway, name: string, example: Example): Promise<void> {
  const end = Date.now() + PATIENCE * 1000;
  for (;;) {
    const { serving } = await slipway.model(name);
    if (serving.wanted === null) return;
    try {
      await slipway.predict(name, example.inputExample.inputs);
      return;
    } catch (error) {
      const passing = error instanceof SlipwayError && [0, 404, 503].includes(error.status);
      if (!passing || Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function modelOrNone(
  slipway: Slipway,
  name: string,
): Promise<{ latestVersion: number | null } | undefined> {
  try {
    return await slipway.model(name);
  } catch (error) {
    if (error instanceof SlipwayError && error.status === 404) return undefined;
    throw error;
  }
}

function instructions(url: string, server: Server, examples: Map<string, Example>): string[] {
  const api = `${url.replace(/\/+$/, '')}/api/v1`;
  const predictions = server.servingUrl.replace(/\/+$/, '');
  const token = process.env['SLIPWAY_TOKEN'] ? ` -H "Authorization: Bearer $SLIPWAY_TOKEN"` : '';
  const post = `curl -s${token} -H 'Content-Type: application/json'`;
  const predict = (name: string) => {
    const inputs = examples.get(name)?.inputExample.inputs.map(firstRow);
    return `  ${post} ${predictions}/v2/models/${name}/infer -d '${JSON.stringify({ inputs })}'`;
  };
  return [
    '',
    `Demo models: ${[...examples.keys()].join(', ')}`,
    '',
    'Predict the species of an iris:',
    predict('iris'),
    'Predict with what is in production of tumour, version 1 at first:',
    predict('tumour'),
    'Promote its better version 2, and predict again:',
    `  ${post} ${api}/models/tumour/versions/2/promote -d '{"reason": "better by every metric"}'`,
    'Roll back:',
    `  ${post} ${api}/models/tumour/rollback -d '{"reason": "second thoughts"}'`,
    '',
  ];
}

/** The first row of a tensor of the example. */
function firstRow({ name, datatype, shape, data }: InferTensor): InferTensor {
  const [rows = 1, ...rest] = shape;
  return { name, datatype, shape: [1, ...rest], data: data.slice(0, data.length / rows) };
}
