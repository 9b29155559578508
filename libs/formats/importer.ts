import type { Program, Signature, Signatures } from '#program';

/** A file of an upload. `path` is its name in the manifest: data, never a path on a disk. */
export interface UploadedFile {
  path: string;
  size: number;
  /** `length` bytes from `offset` on, fewer where the file ends before; the whole file by default. */
  read(offset?: number, length?: number): Promise<Uint8Array>;
}

/** What an importer says of an upload. */
export type Verdict =
  | {
      state: 'servable';
      program: Program;
      weights: Uint8Array;
      /** Files of the program that are uploaded files as they are: path in the program → path in the upload. */
      files?: Map<string, string>;
    }
  /** Sound, but something in it that `reason` names is not supported. */
  | {
      state: 'unsupported';
      reason: string;
      /** What there is to tell of its signatures, none of which can be run. */
      signatures?: Signatures;
    }
  /** Damaged, hostile or over a limit. */
  | { state: 'failed'; reason: string };

/**
 * Reads one format and compiles it to a Program, or says by name what it cannot do. It never executes what it reads. What it
 * compiles with, where that is much, is imported when it is first needed: a compile process does one model.
 */
export interface ModelImporter {
  /** `onnx`, `xgboost`, `lightgbm` … */
  readonly format: string;
  /** Goes up whenever the same files would give another verdict; `importer` = `${format}@${version}`. */
  readonly version: string;
  /** Says whether these files look like the format, from names and first bytes only. */
  recognises(files: UploadedFile[]): Promise<boolean>;
  /** May throw UnsupportedModel and DamagedModel instead of answering `unsupported` and `failed`. */
  compile(files: UploadedFile[], given: { signature?: Signature }): Promise<Verdict>;
}

/** The model is sound but uses something, named in the message, that is not known to be right here. */
export class UnsupportedModel extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'UnsupportedModel';
  }
}

/** The files are not what they say, or over a limit; the message says what and where. */
export class DamagedModel extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'DamagedModel';
  }
}
