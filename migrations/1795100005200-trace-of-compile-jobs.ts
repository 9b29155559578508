import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The request that a compile job is for, so that its log lines can be found by the request's id. */
export class TraceOfCompileJobs1795100005200 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE compile_job ADD COLUMN trace text`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE compile_job DROP COLUMN trace`);
  }
}
