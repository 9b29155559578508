import { Column, Entity, Index, PrimaryGeneratedColumn } from 'typeorm';

/** One thing that happened, written in the transaction in which it happened. */
@Entity()
@Index(['transaction', 'id'])
@Index(['at'])
export class Event {
  @PrimaryGeneratedColumn('identity', { type: 'bigint', generatedIdentity: 'BY DEFAULT' })
  id: number;

  /** The writing transaction. Readers order by it and stop before the oldest that still runs, so that none is missed. */
  @Column('bigint')
  transaction: number;

  @Column('text', { default: 'default' })
  workspace: string;

  @Column('text')
  kind: string;

  @Column('uuid', { nullable: true })
  modelId: string | null;

  @Column('text', { nullable: true })
  model: string | null;

  @Column('integer', { nullable: true })
  version: number | null;

  @Column('jsonb', { default: {} })
  data: Record<string, unknown>;

  @Column('text')
  actor: string;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  at: Date;
}
