import type { Command } from 'commander';
import type { Listing, ListOptions, Model, ModelVersion } from '#sdk';
import { note, pairsText, printJson, printTable, timeText } from '../output.js';
import { parseName } from '../reference.js';
import { parseNumber, withServer } from '../session.js';

interface ListCommandOptions {
  filter?: string;
  order?: string;
  limit: number;
}

const FILTER = `filter, such as "tags.team = 'risk' AND metrics.auc > 0.9"`;

export function addLists(program: Command): void {
  program
    .command('ls')
    .description('list models')
    .option('--filter <filter>', FILTER)
    .option('--order <field>', 'order by a field, with - before it for descending')
    .option('--limit <count>', 'how many at most', parseNumber, 100)
    .action((options: ListCommandOptions, command: Command) =>
      withServer(command, async ({ slipway, json, where }) => {
        const { items, more } = await firstOf(slipway.models(listOptions(options)), options.limit);
        if (json) return printJson(items);
        printTable(
          ['NAME', 'VERSIONS', 'PRODUCTION', 'STAGING', 'ALIASES', 'SERVING', 'UPDATED'],
          items.map(modelRow),
        );
        if (items.length === 0 && !options.filter) note(`next: slipway log NAME PATH${where}`);
        tellMore(more, options.limit);
      }),
    );
  program
    .command('versions')
    .description('list the versions of a model')
    .argument('<name>')
    .option('--filter <filter>', FILTER)
    .option('--order <field>', 'order by a field, with - before it for descending')
    .option('--limit <count>', 'how many at most', parseNumber, 100)
    .action((name: string, options: ListCommandOptions, command: Command) =>
      withServer(
        command,
        async ({ slipway, json }) => {
          const listing = slipway.versions(parseName(name), listOptions(options));
          const { items, more } = await firstOf(listing, options.limit);
          if (json) return printJson(items);
          printTable(
            ['VERSION', 'STAGE', 'ALIASES', 'FORMAT', 'SERVING', 'METRICS', 'CREATED'],
            items.map(versionRow),
          );
          tellMore(more, options.limit);
        },
        (error) => (error.status === 404 ? 'slipway ls' : undefined),
      ),
    );
}

function listOptions({ filter, order, limit }: ListCommandOptions): ListOptions {
  return {
    limit: Math.max(1, Math.min(1000, limit + 1)),
    ...(filter === undefined ? {} : { filter }),
    ...(order === undefined ? {} : { order }),
  };
}

/** The first items, and whether there are more. */
async function firstOf<T>(
  listing: Listing<T>,
  limit: number,
): Promise<{ items: T[]; more: boolean }> {
  const items = await listing.take(limit + 1);
  return { items: items.slice(0, limit), more: items.length > limit };
}

function tellMore(more: boolean, limit: number): void {
  if (more) note(`… and more than these ${limit}: say --limit`);
}

function modelRow({ name, versionCount, production, staging, ...model }: Model): string[] {
  const { wanted, answering, state } = model.serving;
  const serving = wanted === null ? '–' : `${state}${answering === null ? '' : ` (${answering})`}`;
  return [
    name,
    String(versionCount),
    String(production ?? '–'),
    String(staging ?? '–'),
    pairsText(model.aliases),
    serving,
    timeText(model.updatedAt),
  ];
}

function versionRow({ version, stage, aliases, format, serving, ...rest }: ModelVersion): string[] {
  return [
    String(version),
    stage,
    aliases.join(' '),
    format ?? '–',
    serving.state,
    pairsText(rest.metrics),
    timeText(rest.createdAt),
  ];
}
