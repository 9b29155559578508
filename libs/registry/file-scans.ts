import type { DataSource } from 'typeorm';
import { isNamedAsPickle, type Scan, scanFiles, SCANNER } from '#formats';

/** A scan as it is stored; without a verdict: there is no pickle in the file. */
type StoredScan = Partial<Scan> & { scanner: number };

interface FileToScan {
  path: string;
  digest: string;
  /** Where it lies on this machine. */
  file: string;
}

/**
 * Scans the files of a version that this scanner has not seen yet, in any manifest, and keeps what it finds. The same bytes
 * are scanned once.
 */
export async function scanNewFiles(
  dataSource: DataSource,
  files: FileToScan[],
  stop: AbortSignal,
): Promise<void> {
  const rows = await dataSource.query<{ digest: string; scan: StoredScan }[]>(
    `SELECT DISTINCT ON (digest) digest, scan FROM manifest_file
     WHERE digest = ANY($1) AND (scan->>'scanner')::int = $2`,
    [files.map(({ digest }) => digest), SCANNER],
  );
  const scans = new Map(rows.map(({ digest, scan }) => [digest, scan]));
  // Bytes that are no pickle by themselves are one, a damaged one, where the file's name says so.
  const isKnown = ({ path, digest }: FileToScan) =>
    scans.get(digest)?.verdict !== undefined || (scans.has(digest) && !isNamedAsPickle(path));
  const sorted = files.toSorted(
    (a, b) => Number(isNamedAsPickle(a.path)) - Number(isNamedAsPickle(b.path)),
  );
  const unknown = new Map(
    sorted.filter((each) => !isKnown(each)).map((each) => [each.digest, each]),
  );
  const found = await scanFiles({ files: [...unknown.values()], stop });
  for (const { path, digest } of unknown.values()) {
    scans.set(digest, { ...found.get(path), scanner: SCANNER });
  }
  const digests = [...scans.keys()];
  await dataSource.query(
    // Locked in one order, since versions that share files are compiled side by side.
    `UPDATE manifest_file f SET scan = found.scan
     FROM (SELECT m.manifest_digest, m.path, s.scan::jsonb AS scan
             FROM unnest($1::text[], $2::text[]) AS s (digest, scan) JOIN manifest_file m ON m.digest = s.digest
             WHERE m.scan IS DISTINCT FROM s.scan::jsonb ORDER BY 1, 2 FOR UPDATE OF m) found
     WHERE f.manifest_digest = found.manifest_digest AND f.path = found.path`,
    [digests, digests.map((digest) => JSON.stringify(scans.get(digest)))],
  );
}

/** What the scanner found in the files of a manifest, by path; nothing for files without a pickle, or not scanned yet. */
export async function scansOf(
  dataSource: DataSource,
  manifest: string,
): Promise<Map<string, Scan>> {
  const rows = await dataSource.query<{ path: string; scan: Scan }[]>(
    `SELECT path, scan - 'scanner' AS scan FROM manifest_file WHERE manifest_digest = $1 AND scan ? 'verdict'`,
    [manifest],
  );
  return new Map(rows.map(({ path, scan }) => [path, scan]));
}
