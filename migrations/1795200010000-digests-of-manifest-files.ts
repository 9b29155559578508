import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A file is scanned once, whichever manifests it is in: they are found by its digest. */
export class DigestsOfManifestFiles1795200010000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE INDEX manifest_file_digest_idx ON manifest_file (digest)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX manifest_file_digest_idx`);
  }
}
