import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryGeneratedColumn } from 'typeorm';
import { RegisteredModel } from './registered-model.entity.js';

/**
 * One append-only row a stage or alias change. Rows that change who holds Production (or an alias) also form its stack:
 * `below` is the row that a rollback goes back to, so that a rollback needs no replay of history.
 */
@Entity()
@Index(['modelId', 'id'])
export class Transition {
  @PrimaryGeneratedColumn('identity', { type: 'bigint', generatedIdentity: 'BY DEFAULT' })
  id: number;

  @Column('text', { default: 'default' })
  workspace: string;

  @Column('uuid')
  modelId: string;

  @ManyToOne(() => RegisteredModel)
  @JoinColumn({ name: 'model_id' })
  model: RegisteredModel;

  @Column('text')
  kind: 'stage' | 'alias' | 'rollback';

  @Column('text', { nullable: true })
  alias: string | null;

  @Column('integer', { nullable: true })
  version: number | null;

  @Column('text', { nullable: true })
  fromValue: string | null;

  @Column('text', { nullable: true })
  toValue: string | null;

  @Column('integer', { nullable: true })
  previousVersion: number | null;

  @Column('bigint', { nullable: true })
  below: number | null;

  @Column('text', { default: '' })
  reason: string;

  @Column('text')
  actor: string;

  @Column('boolean', { default: false })
  actorVerified: boolean;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  at: Date;
}
