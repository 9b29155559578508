import type { DataSource } from 'typeorm';

export interface CompileTask {
  versionId: string;
  attempts: number;
  force: boolean;
  /** Id of the request that asked for it. */
  trace: string | null;
}

/**
 * How long a task belongs to whoever took it without being heard of: short, so that what a killed server had begun is taken
 * up soon. It is renewed every {@link renewEvery} milliseconds while the work goes on.
 */
const lease = '15 seconds';
export const renewEvery = 4000;

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
     RETURNING version_id AS "versionId", attempts, force, trace`,
    [owner],
  );
  return rows[0];
}

/** Keeps a task for as long again. */
export async function renewTask(
  dataSource: DataSource,
  versionId: string,
  owner: string,
): Promise<void> {
  await dataSource.query(
    `UPDATE compile_job SET lease_until = now() + interval '${lease}' WHERE version_id = $1 AND lease_owner = $2`,
    [versionId, owner],
  );
}

/** Gives a task back, to be taken again later: the store or the database was away, or the server stops. */
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
