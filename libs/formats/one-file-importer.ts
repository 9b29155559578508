import {
  DamagedModel,
  UnsupportedModel,
  type ModelImporter,
  type UploadedFile,
  type Verdict,
} from './importer.js';
import { findPickled } from './pickle/root-package.js';

/** What a library writes a model as: one file, of one of several kinds. */
export interface OneFileFormat<Kind extends string> extends Pick<
  ModelImporter,
  'format' | 'version'
> {
  /** As messages call its models: "CatBoost". */
  name: string;
  /** Where no file is a model, why: "none begins …". */
  none: string;
  /** What a file is by its first bytes, whatever its name. */
  kindOf: (file: UploadedFile) => Promise<Kind | undefined>;
  /** Where a file is of this kind, those of others beside it say the same. */
  first?: Kind;
  mostBytes: (kind: Kind) => number;
  /** `importer` is `${format}@${version}`. */
  compile: (bytes: Uint8Array, found: Found<Kind>, importer: string) => Verdict | Promise<Verdict>;
  /** Where no file is of a kind, pickles of objects of the package `format` are models as well. */
  readsPickles: boolean;
}

export interface Found<Kind> {
  file: UploadedFile;
  kind: Kind;
}

/** The importer of a library that saves a model as one file. */
export function oneFileImporter<Kind extends string>(of: OneFileFormat<Kind>): ModelImporter {
  const { format, version, name } = of;
  const importer = `${format}@${version}`;
  const picklesAmong = async (files: UploadedFile[]) =>
    of.readsPickles ? findPickled(files, format) : [];
  return {
    format,
    version,

    async recognises(files) {
      for (const file of files) if (await of.kindOf(file)) return true;
      return (await picklesAmong(files)).length > 0;
    },

    async compile(files) {
      const models = await modelsAmong(files, of);
      const [model, ...others] = models;
      if (!model) {
        const pickles = await picklesAmong(files);
        if (pickles.length > 0) {
          const { compilePickled } = await import('./sklearn/compile-pickled.js');
          return compilePickled(pickles, files, { importer, format });
        }
        throw new DamagedModel(of.none);
      }
      if (others.length > 0) {
        const paths = models.map(({ file }) => file.path).join(', ');
        throw new UnsupportedModel(
          `Several files are ${name} models: ${paths}. Log one a version.`,
        );
      }
      const { path, size } = model.file;
      const most = of.mostBytes(model.kind);
      if (size > most) {
        throw new UnsupportedModel(
          `${path} has ${size} bytes; models up to ${most} are supported.`,
        );
      }
      return of.compile(await model.file.read(), model, importer);
    },
  };
}

async function modelsAmong<Kind extends string>(
  files: UploadedFile[],
  { kindOf, first }: OneFileFormat<Kind>,
): Promise<Found<Kind>[]> {
  const found: Found<Kind>[] = [];
  for (const file of files) {
    const kind = await kindOf(file);
    if (kind) found.push({ file, kind });
  }
  const firsts = found.filter(({ kind }) => kind === first);
  return firsts.length > 0 ? firsts : found;
}
