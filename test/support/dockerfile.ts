import { cpSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

/** One stage of a Dockerfile, in its order. */
export interface Stage {
  name: string;
  from: string;
  steps: { word: string; rest: string }[];
}

export function readDockerfile(path: string): Stage[] {
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('#'))
    .join('\n')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim());
  const stages: Stage[] = [];
  for (const line of lines) {
    const [, word = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (!word) throw new Error(`${path}: ${line} is no instruction`);
    const [, from, name = ''] = /^(\S+)(?:\s+AS\s+(\S+))?$/.exec(rest) ?? [];
    if (word === 'FROM') stages.push({ name, from: from ?? '', steps: [] });
    else stages.at(-1)?.steps.push({ word, rest });
  }
  return stages;
}

/** What the build is sent of the repository, as .dockerignore says: the last line that matches decides. */
export function isSent(path: string, ignore: string): boolean {
  let sent = true;
  for (const line of ignore.split('\n').filter((text) => text && !text.startsWith('#'))) {
    const kept = line.startsWith('!');
    const pattern = kept ? line.slice(1) : line;
    const parents = path.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'));
    if (parents.some((parent) => matches(parent, pattern))) sent = kept;
  }
  return sent;
}

/** `*` is any name, one with a dot before it too; `**` and a slash any folders. */
function matches(path: string, pattern: string): boolean {
  const expression = pattern
    .split('**/')
    .map((part) => part.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*'))
    .join('(?:.*/)?');
  return new RegExp(`^${expression}$`).test(path);
}

/** What a COPY names: from a stage or the repository, and the files and folders of it. */
export function copyOf(rest: string): { stage?: string; sources: string[]; target: string } {
  const words = rest.split(/\s+/);
  const stage = /^--from=(.*)$/.exec(words[0] ?? '')?.[1];
  const paths = stage ? words.slice(1) : words;
  return { ...(stage && { stage }), sources: paths.slice(0, -1), target: paths.at(-1) ?? '' };
}

/** Copies as COPY does: a folder's content into the target, a file into a target that is a folder. */
export function copyInto(source: string, target: string, sent: (path: string) => boolean): void {
  if (!existsSync(source)) throw new Error(`There is no ${source} to copy`);
  const folder = target.endsWith('/') || (existsSync(target) && statSync(target).isDirectory());
  const into = folder && statSync(source).isFile() ? join(target, basename(source)) : target;
  mkdirSync(join(into, '..'), { recursive: true });
  cpSync(source, into, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => sent(relative(source, path)),
  });
}
