import type { Command } from 'commander';
import type { Slipway } from '#sdk';
import { UsageError } from '../failure.js';
import { bytesText, note, print, printJson } from '../output.js';
import { parseReference, type Reference, referenceText } from '../reference.js';
import { withServer } from '../session.js';

type Verified = Awaited<ReturnType<Slipway['verify']>>;
type DamagedBlob = Verified['damaged'][number];

const REASONS: Record<DamagedBlob['reason'], string> = {
  missing: 'its bytes are gone',
  size: 'it has more or fewer bytes than it should',
  bytes: 'its bytes are not those of the digest',
  unreadable: 'the store cannot read it',
};

export function addVerify(program: Command): void {
  program
    .command('verify')
    .description('compare what is stored with its digests; says what is damaged and what needs it')
    .argument('[reference]', 'NAME, NAME/version or NAME@alias')
    .option('--all', 'everything that is stored')
    .addHelpText(
      'after',
      '\nWhat is damaged counts as not stored from then on: logging the same files again mends it.\nThe exit code is 1 where anything is damaged.',
    )
    .action((text: string | undefined, { all = false }: { all?: boolean }, command: Command) => {
      if ((text === undefined) !== all)
        throw new UsageError(
          'Say what to verify: a model, a version, or --all.',
          `slipway verify ${text ?? '--all'}`,
        );
      const of = text === undefined ? undefined : parseReference(text);
      return withServer(
        command,
        async ({ slipway, json, where }) => {
          const begun = performance.now();
          const verified = await watched(slipway, of);
          const seconds = (performance.now() - begun) / 1000;
          if (verified.damaged.length > 0) process.exitCode = 1;
          if (json) return printJson({ ...verified, seconds });
          for (const blob of verified.damaged) tell(blob);
          print(summary(verified, seconds, of));
          advise(verified.damaged, slipway.url, where);
        },
        (error) => (error.status === 404 ? 'slipway ls' : undefined),
      );
    });
}

/** Counts on stderr, only where a person looks at it: how much there is in all, nobody knows before the end. */
async function watched(slipway: Slipway, of: Reference | undefined): Promise<Verified> {
  const { stderr } = process;
  const onProgress = ({ checked, bytes, damaged }: Verified) => {
    const line = `${checked} blobs, ${bytesText(bytes)}, ${damaged.length} damaged`;
    if (stderr.isTTY) stderr.write(`\r\u001b[K${line}`);
  };
  const what = of && { model: of.name, ...(of.version !== undefined && { version: of.version }) };
  try {
    return await slipway.verify({ ...what, onProgress });
  } finally {
    if (stderr.isTTY) stderr.write('\r\u001b[K');
  }
}

function tell({ digest, size, reason, usedBy }: DamagedBlob): void {
  print(`damaged ${digest} (${bytesText(size)}): ${REASONS[reason]}`);
  if (usedBy.length === 0) print('  nothing needs it');
  for (const { model, version, kind, path } of usedBy)
    print(`  ${model}/${version} ${path}${kind === 'program' ? ' (compiled)' : ''}`);
}

function summary(
  { checked, bytes, damaged }: Verified,
  seconds: number,
  of: Reference | undefined,
): string {
  const speed = `${bytesText(bytes / Math.max(seconds, 0.001))}/s`;
  const what = of ? `${referenceText(of.name, of.version)}: ` : '';
  const found = damaged.length > 0 ? `${damaged.length} damaged` : 'all sound';
  return `${what}${checked} blobs, ${bytesText(bytes)}, ${speed}: ${found}`;
}

function advise(damaged: DamagedBlob[], url: string, where: string): void {
  const users = damaged.flatMap(({ usedBy }) => usedBy);
  const file = users.find(({ kind }) => kind === 'file');
  const compiled = users.find(({ kind }) => kind === 'program');
  if (file)
    note(
      `next: slipway log ${file.model} PATH${where}   (the same files: what is damaged is sent again, and mended for all versions; or restore it from a backup of the store)`,
    );
  if (compiled) {
    const path = `models/${encodeURIComponent(compiled.model)}/versions/${compiled.version}/check`;
    note(`next: curl -X POST ${url}/api/v1/${path}   (compiles it again; do so for each)`);
  }
  if (damaged.some(({ usedBy }) => usedBy.length === 0))
    note('What nothing needs, garbage collection removes.');
}
