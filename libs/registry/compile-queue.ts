import type { DataSource } from 'typeorm';

/** Channel that tells that a version waits to be compiled; the table is the truth. */
export const compileChannel = 'slipway_compile';

export interface CompileTask {
  versionId: string;
  attempts: number;
  force: boolean;
}

/** How long a replica may take over one version before another takes it; longer than the compile step's own limit. */
const lease = '120 seconds';

/** Takes the version that waits longest, by a lease; undefined where none waits. */
export async function takeTask(
  dataSource: DataSource,
  owner: string,
): Promise<CompileTask | undefined> {
  const [rows] = await dataSource.query<[CompileTask[], number]>(
    `UPDATE compile_job SET lease_owner = $1, lease_until = now() + interval '${lease}', attempts = attempts + 1
     WHERE version_id = (
       SELECT version_id FROM compile_job
       WHERE run_after <= now() AND (lease_until IS NULL OR lease_until < now())
       ORDER BY run_after LIMIT 1 FOR UPDATE SKIP LOCKED)
     RETURNING version_id AS "versionId", attempts, force`,
    [owner],
  );
  return rows[0];
}

/** Gives a task back, to be taken again later: the store or the database was away. */
export async function postponeTask(
  dataSource: DataSource,
  versionId: string,
  seconds: number,
): Promise<void> {
  await dataSource.query(
    `UPDATE compile_job SET lease_owner = NULL, lease_until = NULL, attempts = attempts - 1,
       run_after = now() + make_interval(secs => $2) WHERE version_id = $1`,
    [versionId, seconds],
  );
}
