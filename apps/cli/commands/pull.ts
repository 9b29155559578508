import type { Command } from 'commander';
import { bytesText, note, print, printJson } from '../output.js';
import { ProgressBar } from '../progress-bar.js';
import { parseReference, referenceText } from '../reference.js';
import { withServer } from '../session.js';

export function addPull(program: Command): void {
  program
    .command('pull')
    .description('bring the files of a version here; prints the folder last')
    .argument('<reference>', 'NAME/version or NAME@alias; NAME alone is its latest version')
    .argument('[folder]', 'where to put them (default: NAME-version)')
    .addHelpText(
      'after',
      '\nTyped again it goes on where it was cut, and leaves alone what is there.',
    )
    .action((text: string, folder: string | undefined, _: unknown, command: Command) => {
      const { name, version = 'latest' } = parseReference(text);
      return withServer(
        command,
        async ({ slipway, json }) => {
          const { version: number } = await slipway.version(name, version);
          const target = folder ?? `${name}-${number}`;
          const bar = new ProgressBar(`${name}/${number}`);
          let skipped = 0;
          const onProgress = (progress: { received: number; skipped: number; total: number }) => {
            ({ skipped } = progress);
            bar.show(progress.received + skipped, progress.total, '');
          };
          const pulled = await slipway
            .pull(name, number, target, { onProgress })
            .finally(() => bar.stop());
          if (json) return printJson({ folder: target, ...pulled });
          const there = skipped > 0 ? `, ${bytesText(skipped)} of it was there` : '';
          note(`${referenceText(name, number)}: ${bytesText(pulled.size)}${there}`);
          print(target);
        },
        (error) => (error.status === 404 ? `slipway versions ${name}` : undefined),
      );
    });
}
