import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is kept of the content of a blob to find it in others, and which blobs were looked through for that. */
export class SharedBlobs1795200050000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE blob ADD COLUMN compared boolean NOT NULL DEFAULT false;
      CREATE INDEX blob_size_idx ON blob (size) WHERE NOT compared;
      CREATE TABLE blob_sketch (
        digest text PRIMARY KEY REFERENCES blob ON DELETE CASCADE,
        pieces bytea NOT NULL,
        sketch bigint[] NOT NULL
      );
      CREATE INDEX blob_sketch_sketch_idx ON blob_sketch USING gin (sketch);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE blob_sketch;
      ALTER TABLE blob DROP COLUMN compared;
    `);
  }
}
