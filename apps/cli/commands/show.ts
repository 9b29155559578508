import type { Command } from 'commander';
import type {
  Manifest,
  ManifestFile,
  Model,
  ModelVersion,
  Signatures,
  TensorFlowTensor,
  TensorSpec,
  Transition,
} from '#sdk';
import {
  bytesText,
  pairsText,
  print,
  printFields,
  printJson,
  printTable,
  timeText,
} from '../output.js';
import { parseReference } from '../reference.js';
import type { Session } from '../session.js';
import { withServer } from '../session.js';

const HISTORY = 10;
/** Of what a file needs, in a line. */
const NAMES = 5;

export function addShow(program: Command): void {
  program
    .command('show')
    .description('show a model with its history, or one of its versions')
    .argument('<reference>', 'NAME, NAME/version or NAME@alias')
    .action((text: string, _: unknown, command: Command) => {
      const { name, version } = parseReference(text);
      return withServer(
        command,
        async (session) => {
          if (version === undefined) return showModel(session, name);
          const found = await session.slipway.version(name, version);
          if (session.json) return printJson(found);
          showVersion(found, await session.slipway.files(name, String(found.version)));
        },
        (error) => {
          if (error.status !== 404) return undefined;
          return version === undefined ? 'slipway ls' : `slipway versions ${name}`;
        },
      );
    });
}

async function showModel({ slipway, json }: Session, name: string): Promise<void> {
  const [model, processes, transitions] = await Promise.all([
    slipway.model(name),
    slipway.serving(name),
    slipway.transitions(name, { limit: HISTORY }).take(HISTORY),
  ]);
  if (json) return printJson({ ...model, processes, transitions });
  printFields(fieldsOf(model));
  if (processes.length > 0) {
    print('');
    printTable(
      ['PROCESS', 'WANTED', 'ANSWERING', 'STATE', 'REASON'],
      processes.map((process) => [
        `${process.replica}/${process.process}`,
        String(process.wanted ?? '–'),
        String(process.answering ?? '–'),
        process.state,
        process.reason ?? '',
      ]),
    );
  }
  if (transitions.length === 0) return;
  print('');
  printTable(['WHEN', 'WHO', 'WHAT', 'REASON'], transitions.map(transitionRow));
}

function fieldsOf(model: Model): Record<string, string | undefined> {
  const { wanted, answering, state, reason } = model.serving;
  const follows = `follows ${model.follow}, wants ${wanted ?? 'nothing'}, answers with ${answering ?? 'nothing'}`;
  return {
    name: model.name,
    description: model.description,
    versions: `${model.versionCount}, latest ${model.latestVersion ?? '–'}`,
    production: model.production?.toString(),
    staging: model.staging?.toString(),
    aliases: pairsText(model.aliases),
    serving: `${state}: ${follows}${reason ? `\n${reason}` : ''}`,
    tags: pairsText(model.tags),
    metadata: pairsText(model.metadata),
    created: timeText(model.createdAt),
    updated: timeText(model.updatedAt),
  };
}

function transitionRow({ at, actor, reason, ...transition }: Transition): string[] {
  const { kind, version, from, to, previousVersion } = transition;
  const instead = previousVersion === null ? '' : ` (instead of ${previousVersion})`;
  const moved =
    version === null
      ? `${from ?? ''} removed`
      : `version ${version}: ${from ?? '–'} → ${to ?? '–'}`;
  return [
    timeText(at),
    actor,
    `${kind === 'rollback' ? 'rollback, ' : ''}${moved}${instead}`,
    reason,
  ];
}

/** How near the answers are to the golden rows; the reason of a version that failed says it already. */
function goldenText({ state, difference }: ModelVersion['serving']): string | undefined {
  if (state !== 'servable' || !difference) return undefined;
  const { output, at, absolute, message } = difference;
  if (message === 'is as expected') return 'reproduced exactly';
  const place = at?.length ? `, at [${at.join(', ')}]` : '';
  return `reproduced; greatest difference ${absolute ?? 0} in "${output}"${place}`;
}

function showVersion(version: ModelVersion, manifest: Manifest): void {
  const { serving, signature, signatures, lineage } = version;
  const verdict = serving.reason ? `${serving.state}: ${serving.reason}` : serving.state;
  const datasets = lineage.datasets?.map(({ name, source }) =>
    source ? `${name} (${source})` : name,
  );
  printFields({
    version: `${version.model}/${version.version}`,
    description: version.description,
    stage: version.stage,
    aliases: version.aliases.join(' '),
    format: version.format,
    serving: serving.importer ? `${verdict} [${serving.importer}]` : verdict,
    'golden rows': goldenText(serving),
    inputs: signature?.inputs.map(specText).join('\n'),
    outputs: signature?.outputs.map(specText).join('\n'),
    'TensorFlow tags': signatures?.tensorflow?.tags.join(', '),
    signatures: signatures ? signaturesText(signatures) : undefined,
    metrics: pairsText(version.metrics),
    params: pairsText(version.params),
    tags: pairsText(version.tags),
    metadata: pairsText(version.metadata),
    run: lineage.run,
    'trained on': datasets?.join('\n'),
    'derives from': lineage.parents?.map((parent) => `${parent.model}/${parent.version}`).join(' '),
    files: manifest.files?.map(fileText).join('\n'),
    digest: version.digest,
    created: `${timeText(version.createdAt)} by ${version.createdBy}`,
  });
}

/** With what loading it in Python would bring in, where there is a pickle in the file. */
function fileText({ path, size, scan }: ManifestFile): string {
  const text = `${path}  ${bytesText(size)}`;
  if (!scan) return text;
  const { verdict, names, reason } = scan;
  const shown = names.slice(0, NAMES).join(', ');
  const more = names.length > NAMES ? ` and ${names.length - NAMES} more` : '';
  if (verdict === 'code') return `${text}  pickle: needs code: ${shown}${more}`;
  return `${text}  pickle: ${verdict}${reason === undefined ? '' : `: ${reason}`}`;
}

function specText({ name, dtype, shape }: TensorSpec): string {
  return `${name}  ${dtype} [${shape.join(', ')}]`;
}

/** Every signature with its tensors; where the model is TensorFlow's, as `saved_model_cli show --all` has them. */
function signaturesText({
  default: standard,
  named,
  refused = {},
  tensorflow,
}: Signatures): string {
  const names = [...Object.keys(named), ...Object.keys(refused)].toSorted();
  return names
    .map((name) => {
      const shown = tensorflow?.signatures[name];
      const reason = refused[name];
      const head = [name, shown?.methodName, name === standard && 'default'].filter(Boolean);
      const { inputs, outputs } = named[name] ?? { inputs: [], outputs: [] };
      const lines = shown
        ? [
            ...shown.inputs.map((tensor) => `  in   ${tensorText(tensor)}`),
            ...shown.outputs.map((tensor) => `  out  ${tensorText(tensor)}`),
          ]
        : [
            ...inputs.map((spec) => `  in   ${specText(spec)}`),
            ...outputs.map((spec) => `  out  ${specText(spec)}`),
          ];
      const refusal = reason === undefined ? [] : [`  cannot be run: ${reason}`];
      return [head.join('  '), ...refusal, ...lines].join('\n');
    })
    .join('\n');
}

function tensorText({ name, dtype, shape, tensor }: TensorFlowTensor): string {
  return `${name}  ${dtype} ${shape ? `[${shape.join(', ')}]` : 'of any shape'}  ${tensor}`;
}
