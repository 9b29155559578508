import { createHash } from 'node:crypto';
import { DomainError, type FieldError } from '#platform';

/** A file of a version: where it lies in the version, and which blob it is. */
export interface ManifestEntry {
  path: string;
  /** `sha256:` and 64 hexadecimal digits. */
  digest: string;
}

export interface SizedEntry extends ManifestEntry {
  size: number;
}

const maxFiles = 100_000;
const maxPathBytes = 1024;

/**
 * Checks the paths of a manifest: NFC, at most 1,024 bytes, relative, no empty, `.` or `..` part, no backslash, NUL or
 * drive letter, none twice, none that is another's folder. Paths are data: nothing on disk is ever named after them.
 * @throws DomainError INVALID_ARGUMENT with one entry for each wrong path (the first hundred)
 */
export function checkManifest(files: readonly ManifestEntry[], pointer = '/files'): void {
  if (files.length === 0) throw DomainError.invalid(pointer, 'A version needs at least one file.');
  if (files.length > maxFiles) {
    throw DomainError.invalid(
      pointer,
      `A version has at most ${maxFiles} files, not ${files.length}.`,
    );
  }
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  files.forEach(({ path }, i) => {
    const fault = seen.has(path) ? 'is listed twice' : pathFault(path);
    if (fault) errors.push(pathError(pointer, i, path, fault));
    seen.add(path);
  });
  // A manifest whose paths are wrong is refused already, and its paths may be of any length.
  if (errors.length === 0) errors.push(...pathsInFiles(files, pointer));
  const [first] = errors;
  if (first) {
    throw new DomainError('INVALID_ARGUMENT', first.message, { errors: errors.slice(0, 100) });
  }
}

/** The digest of a manifest: SHA-256 of its lines `digest size path` in byte order of the paths. */
export function manifestDigest(files: readonly SizedEntry[]): string {
  const hash = createHash('sha256');
  const sorted = [...files].sort((a, b) =>
    Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)),
  );
  for (const { digest, size, path } of sorted) hash.update(`${digest} ${size} ${path}\n`);
  return `sha256:${hash.digest('hex')}`;
}

function pathFault(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (Buffer.byteLength(path) > maxPathBytes) return `is longer than ${maxPathBytes} bytes`;
  if (/\p{Cs}/u.test(path)) return 'is not valid Unicode';
  if (path.normalize('NFC') !== path) return 'is not in Unicode normal form C (NFC)';
  if (path.includes('\0')) return 'contains a NUL character';
  if (/\p{Cc}/u.test(path)) return 'contains a control character';
  if (path.includes('\\')) return 'contains a backslash: write folders with "/"';
  if (path.startsWith('/')) return 'is absolute: write it relative to the version';
  if (/^[A-Za-z]:/.test(path)) return 'begins with a drive letter';
  const part = path.split('/').find((p) => p === '' || p === '.' || p === '..');
  if (part !== undefined) return part === '' ? 'has an empty part' : `has the part "${part}"`;
  return undefined;
}

function pathError(pointer: string, index: number, path: string, fault: string): FieldError {
  return {
    pointer: `${pointer}/${index}/path`,
    message: `The path ${JSON.stringify(path.slice(0, 200))} ${fault}.`,
  };
}

/**
 * The paths that lie in a file. Where each ends with a slash, what lies in a path comes directly behind it in their order,
 * so that no path need be taken apart: one of 1,024 bytes may have 512 folders.
 */
function pathsInFiles(files: readonly ManifestEntry[], pointer: string): FieldError[] {
  const sorted = files
    .map(({ path }, index) => ({ key: `${path}/`, path, index }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const errors: FieldError[] = [];
  let file: { key: string; path: string } | undefined;
  for (const entry of sorted) {
    if (file && entry.key.startsWith(file.key)) {
      const fault = `lies in ${JSON.stringify(file.path)}, which is a file`;
      errors.push(pathError(pointer, entry.index, entry.path, fault));
    } else {
      file = entry;
    }
  }
  return errors;
}
