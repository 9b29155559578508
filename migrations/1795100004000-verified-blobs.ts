import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Checksums of a blob's parts, when it was verified, and whether it is damaged. */
export class VerifiedBlobs1795100004000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE blob
        ADD COLUMN checksums bytea,
        ADD COLUMN verified_at timestamptz(3) NOT NULL DEFAULT now(),
        ADD COLUMN damaged_at timestamptz(3);
      UPDATE blob SET verified_at = created_at;
      CREATE INDEX blob_verified_at_idx ON blob (verified_at);
      CREATE INDEX blob_damaged_at_idx ON blob (damaged_at) WHERE damaged_at IS NOT NULL;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE blob DROP COLUMN checksums, DROP COLUMN verified_at, DROP COLUMN damaged_at;
    `);
  }
}
