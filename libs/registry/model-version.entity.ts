import {
  Column,
  Entity,
  Index,
  JoinColumn,
  ManyToOne,
  PrimaryGeneratedColumn,
  Unique,
} from 'typeorm';
import type { Signature, Signatures } from '#program';
import { RegisteredModel } from './registered-model.entity.js';

export const stages = ['None', 'Staging', 'Production', 'Archived'] as const;
export type Stage = (typeof stages)[number];

/** What the compile step found out: `pending` until it ran. */
export type ServingVerdict = 'pending' | 'servable' | 'unsupported' | 'failed';

/** An immutable snapshot. Only description, tags, metadata, stage and the compile verdict change after it was made. */
@Entity()
@Unique(['modelId', 'version'])
@Index(['manifestDigest'])
export class ModelVersion {
  @PrimaryGeneratedColumn('uuid')
  id: string;

  @Column('uuid')
  modelId: string;

  @ManyToOne(() => RegisteredModel)
  @JoinColumn({ name: 'model_id' })
  model: RegisteredModel;

  @Column('integer')
  version: number;

  @Column('text', { default: '' })
  description: string;

  @Column('jsonb', { default: {} })
  tags: Record<string, string>;

  @Column('jsonb', { default: {} })
  metadata: Record<string, unknown>;

  @Column('text', { default: 'None' })
  stage: Stage;

  /** Id of the transition by which it entered its stage: orders versions that share one. */
  @Column('bigint', { default: 0 })
  stageEntered: number;

  @Column('text', { nullable: true })
  format: string | null;

  @Column('jsonb', { nullable: true })
  signature: Signature | null;

  @Column('jsonb', { nullable: true })
  signatures: Signatures | null;

  @Column('jsonb', { nullable: true })
  inputExample: unknown;

  @Column('jsonb', { default: {} })
  metrics: Record<string, number | string>;

  @Column('jsonb', { default: {} })
  params: Record<string, string>;

  /** Null where the bytes are not held here (`source` elsewhere). */
  @Column('text', { nullable: true })
  manifestDigest: string | null;

  @Column('bigint', { default: 0 })
  size: number;

  @Column('text', { nullable: true })
  source: string | null;

  @Column('text', { nullable: true })
  runId: string | null;

  @Column('text', { default: 'pending' })
  servingState: ServingVerdict;

  @Column('text', { nullable: true })
  servingReason: string | null;

  @Column('jsonb', { nullable: true })
  servingDifference: unknown;

  @Column('text', { nullable: true })
  importer: string | null;

  @Column({ type: 'timestamptz', precision: 3, nullable: true })
  checkedAt: Date | null;

  /** Digest of the stored `program.json`, which names its weights and files by digest. */
  @Column('text', { nullable: true })
  programDigest: string | null;

  @Column('integer', { default: 1 })
  revision: number;

  @Column('text')
  createdBy: string;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  createdAt: Date;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  updatedAt: Date;

  @Column({ type: 'timestamptz', precision: 3, nullable: true })
  deletedAt: Date | null;
}
