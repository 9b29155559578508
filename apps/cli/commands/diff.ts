import type { Command } from 'commander';
import type { ModelVersion } from '#sdk';
import { writeExact } from '#sdk';
import { bytesText, print, printJson } from '../output.js';
import { parseReference } from '../reference.js';
import { withServer } from '../session.js';

/** What one side has and the other has otherwise; a side that lacks it is absent. */
interface Change {
  name: string;
  from?: unknown;
  to?: unknown;
}

const SECTIONS = ['files', 'signature', 'metrics', 'params', 'tags', 'metadata'] as const;
type Section = (typeof SECTIONS)[number];

export function addDiff(program: Command): void {
  program
    .command('diff')
    .description('compare two versions: files, signature, metrics, params, tags, metadata')
    .argument('<from>', 'NAME/version or NAME@alias; NAME alone is its latest version')
    .argument('<to>')
    .action((from: string, to: string, _: unknown, command: Command) => {
      const [a, b] = [parseReference(from), parseReference(to)];
      return withServer(
        command,
        async ({ slipway, json }) => {
          const [before, after] = await Promise.all([
            slipway.version(a.name, a.version ?? 'latest'),
            slipway.version(b.name, b.version ?? 'latest'),
          ]);
          const changes = compare(before, after);
          const names = [before, after].map(({ model, version }) => `${model}/${version}`);
          if (json) return printJson({ from: names[0], to: names[1], ...changes });
          print(names.join(' → '));
          tell(changes);
        },
        (error) => (error.status === 404 ? 'slipway ls' : undefined),
      );
    });
}

function compare(before: ModelVersion, after: ModelVersion): Record<Section, Change[]> {
  return {
    files: changesOf(filesOf(before), filesOf(after)),
    signature: changesOf(signatureOf(before), signatureOf(after)),
    metrics: changesOf(before.metrics, after.metrics),
    params: changesOf(before.params, after.params),
    tags: changesOf(before.tags, after.tags),
    metadata: changesOf(before.metadata, after.metadata),
  };
}

function changesOf(from: Record<string, unknown>, to: Record<string, unknown>): Change[] {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort();
  return names
    .filter(
      (name) => writeExact(from[name]) !== writeExact(to[name]) || !(name in from && name in to),
    )
    .map((name) => ({
      name,
      ...(name in from ? { from: from[name] } : {}),
      ...(name in to ? { to: to[name] } : {}),
    }));
}

function filesOf({ files }: ModelVersion): Record<string, { digest: string; size: number }> {
  return Object.fromEntries(
    (files ?? []).map(({ path, digest, size }) => [path, { digest, size }]),
  );
}

function signatureOf({ signature }: ModelVersion): Record<string, string> {
  const sides = { input: signature?.inputs ?? [], output: signature?.outputs ?? [] };
  return Object.fromEntries(
    Object.entries(sides).flatMap(([side, specs]) =>
      specs.map(({ name, dtype, shape }) => [`${side} ${name}`, `${dtype} [${shape.join(', ')}]`]),
    ),
  );
}

function tell(changes: Record<Section, Change[]>): void {
  const sections = SECTIONS.filter((section) => changes[section].length > 0);
  if (sections.length === 0) print('no difference');
  for (const section of sections) {
    print(section);
    for (const change of changes[section]) print(`  ${lineOf(section, change)}`);
  }
}

function lineOf(section: Section, { name, ...sides }: Change): string {
  if (!('to' in sides)) return `- ${name}  ${valueText(section, sides.from)}`;
  if (!('from' in sides)) return `+ ${name}  ${valueText(section, sides.to)}`;
  const { from, to } = sides;
  const moved = `~ ${name}  ${valueText(section, from)} → ${valueText(section, to)}`;
  if (typeof from !== 'number' || typeof to !== 'number') return moved;
  const difference = Number((to - from).toPrecision(6));
  return `${moved}  (${difference > 0 ? '+' : ''}${difference})`;
}

function valueText(section: Section, value: unknown): string {
  if (section === 'files' && typeof value === 'object' && value !== null && 'size' in value) {
    const digest = 'digest' in value ? String(value.digest).slice(0, 19) : '';
    return `${bytesText(Number(value.size))} ${digest}`;
  }
  return typeof value === 'string' ? value : writeExact(value);
}
