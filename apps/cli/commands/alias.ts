import type { Command } from 'commander';
import { note, print, printJson, printTable } from '../output.js';
import { parseName, parseVersionReference, referenceText } from '../reference.js';
import { withServer } from '../session.js';
import type { ChangeOptions } from './stages.js';
import { changeOptions, nextOfChange, tell } from './stages.js';

export function addAlias(program: Command): void {
  const alias = program
    .command('alias')
    .description('movable names of versions: slipway alias NAME/3 champion');
  const set = alias
    .command('set', { isDefault: true })
    .description('give a version an alias, taking it from the one that had it')
    .argument('<reference>', 'NAME/version')
    .argument('<alias>', 'such as champion');
  changeOptions(set).action(
    (text: string, word: string, options: ChangeOptions, command: Command) => {
      const { name, version } = parseVersionReference(text);
      const reference = referenceText(name, version);
      return withServer(
        command,
        async (session) => {
          const answer = await session.slipway.setAlias(name, plain(word), version, options);
          tell(session, answer, `${reference} has that alias already`);
        },
        (error) => nextOfChange(error, name, reference),
      );
    },
  );
  alias
    .command('rm')
    .description('remove an alias')
    .argument('<name>')
    .argument('<alias>')
    .action((text: string, word: string, _: unknown, command: Command) => {
      const name = parseName(text);
      return withServer(
        command,
        async ({ slipway, json }) => {
          await slipway.deleteAlias(name, plain(word));
          if (json) printJson({ model: name, alias: plain(word), removed: true });
          else print(`@${plain(word)} of ${name} is removed`);
        },
        (error) => (error.status === 404 ? `slipway alias ls ${name}` : undefined),
      );
    });
  alias
    .command('ls')
    .description('list the aliases of a model')
    .argument('<name>')
    .action((text: string, _: unknown, command: Command) =>
      withServer(
        command,
        async ({ slipway, json, where }) => {
          const { name, aliases } = await slipway.model(parseName(text));
          if (json) return printJson(aliases);
          const rows = Object.entries(aliases).map(([word, version]) => [
            word,
            `${name}/${version}`,
          ]);
          printTable(['ALIAS', 'VERSION'], rows);
          if (rows.length === 0) note(`next: slipway alias set ${name}/VERSION ALIAS${where}`);
        },
        (error) => (error.status === 404 ? 'slipway ls' : undefined),
      ),
    );
}

/** An alias as the server knows it; `@champion` is how people quote it. */
function plain(alias: string): string {
  return alias.replace(/^@/, '');
}
