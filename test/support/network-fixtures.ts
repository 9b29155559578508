import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { NetworkQuestion } from './network-child.js';

/** Formats of networks, by the folder of their fixtures. */
const formats = { onnx: 'onnx', 'saved-model': 'saved-model', keras: 'keras', tfjs: 'tfjs' };

export interface NetworkModel extends NetworkQuestion {
  name: string;
}

/** Uploads of the formats that there are importers for, of `most` bytes at most. */
export function networkModels(known: (format: string) => boolean, most: number): NetworkModel[] {
  const own = join(import.meta.dirname, '..', '..', '..', 'test', 'fixtures');
  return Object.entries(formats).flatMap(([kind, format]) => {
    if (!known(format)) return [];
    const folders = [shared(kind), join(own, kind)].flatMap((folder) => folder ?? []);
    const root = folders.find((folder) => existsSync(folder));
    if (!root) return [];
    return readdirSync(root).flatMap((name): NetworkModel[] => {
      const folder = join(root, name);
      if (name === 'hostile' || !lstatSync(folder).isDirectory()) return [];
      const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
        (path) =>
          lstatSync(join(folder, path)).isFile() && !/^(expected\.json|case.*\.bin)$/.test(path),
      );
      const size = paths.reduce((sum, path) => sum + lstatSync(join(folder, path)).size, 0);
      if (size === 0 || size > most) return [];
      const files = paths.map((path) => ({
        path,
        bytes: new Uint8Array(readFileSync(join(folder, path))),
      }));
      return [{ name: `${kind}/${name}`, format, files }];
    });
  });
}

function shared(kind: string): string | undefined {
  const named = process.env['SLIPWAY_FIXTURES'];
  if (named) return join(named, kind);
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    const candidate = join(folder, 'shared', 'fixtures', kind);
    if (existsSync(candidate)) return candidate;
  }
  return undefined;
}
