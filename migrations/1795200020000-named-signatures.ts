import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the compile step found of a model's named signatures. */
export class NamedSignatures1795200020000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE model_version ADD COLUMN signatures jsonb`);
    await runner.query(`ALTER TABLE compiled_program ADD COLUMN signatures jsonb`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE compiled_program DROP COLUMN signatures`);
    await runner.query(`ALTER TABLE model_version DROP COLUMN signatures`);
  }
}
