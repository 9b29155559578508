import { Column, Entity, Index, JoinColumn, OneToOne, PrimaryColumn } from 'typeorm';
import { ModelVersion } from './model-version.entity.js';

/** What an importer made of a manifest: kept, so that no replica compiles what another did. */
@Entity()
export class CompiledProgram {
  @PrimaryColumn('text')
  manifestDigest: string;

  @PrimaryColumn('text')
  importer: string;

  @Column('text')
  state: 'servable' | 'unsupported' | 'failed';

  @Column('text', { nullable: true })
  reason: string | null;

  @Column('jsonb', { nullable: true })
  signature: unknown;

  @Column('jsonb', { nullable: true })
  signatures: unknown;

  @Column('text', { nullable: true })
  programDigest: string | null;

  @Column('text', { nullable: true })
  weightsDigest: string | null;

  @Column('jsonb', { default: [] })
  files: { path: string; digest: string; size: number }[];

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  createdAt: Date;
}

/** A version that waits to be compiled. Any replica may take it by a lease; a lease that runs out is taken again. */
@Entity()
@Index(['runAfter'])
export class CompileJob {
  @PrimaryColumn('uuid')
  versionId: string;

  @OneToOne(() => ModelVersion)
  @JoinColumn({ name: 'version_id' })
  version: ModelVersion;

  @Column('boolean', { default: false })
  force: boolean;

  @Column('integer', { default: 0 })
  attempts: number;

  /** Id of the request that asked for it. */
  @Column('text', { nullable: true })
  trace: string | null;

  @Column('text', { nullable: true })
  leaseOwner: string | null;

  @Column({ type: 'timestamptz', precision: 3, nullable: true })
  leaseUntil: Date | null;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  runAfter: Date;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  createdAt: Date;
}
