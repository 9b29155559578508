import { Column, Entity, Index, PrimaryGeneratedColumn } from 'typeorm';

/** A name under which numbered versions are kept. A deleted one stays as a row, so that its history can be read by id. */
@Entity()
@Index(['workspace', 'name'], { unique: true, where: 'deleted_at IS NULL' })
export class RegisteredModel {
  @PrimaryGeneratedColumn('uuid')
  id: string;

  @Column('text', { default: 'default' })
  workspace: string;

  @Column('text')
  name: string;

  @Column('text', { default: '' })
  description: string;

  @Column('jsonb', { default: {} })
  tags: Record<string, string>;

  @Column('jsonb', { default: {} })
  metadata: Record<string, unknown>;

  /** What serving follows: `production`, or an alias written `@champion`. */
  @Column('text', { default: 'production' })
  follow: string;

  /** The highest number ever given, deleted versions included: the next version is this plus one. */
  @Column('integer', { default: 0 })
  lastVersion: number;

  /** The transition on top of the Production stack; rollback goes to what lies below it. */
  @Column('bigint', { nullable: true })
  productionTop: number | null;

  /** Counts changes; the ETag. */
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
