import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** The answer to a POST with an `Idempotency-Key`, committed together with what the POST did. */
@Entity()
@Index(['createdAt'])
export class IdempotencyKey {
  @PrimaryColumn('text', { default: 'default' })
  workspace: string;

  @PrimaryColumn('text')
  actor: string;

  @PrimaryColumn('text')
  key: string;

  /** Digest of method, path and body: the same key with another request is refused. */
  @Column('text')
  request: string;

  @Column('integer', { nullable: true })
  status: number | null;

  @Column('text', { nullable: true })
  body: string | null;

  @Column('jsonb', { nullable: true })
  headers: unknown;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  createdAt: Date;
}
