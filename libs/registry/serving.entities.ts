import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { RegisteredModel } from './registered-model.entity.js';

/** What serving must do for a model. The registry writes it; serving processes follow it. */
@Entity()
export class Deployment {
  @PrimaryColumn('uuid')
  modelId: string;

  @ManyToOne(() => RegisteredModel)
  @JoinColumn({ name: 'model_id' })
  model: RegisteredModel;

  @PrimaryColumn('text', { default: 'primary' })
  variant: string;

  /** The version that holds Production (or the followed alias). */
  @Column('integer', { nullable: true })
  wanted: number | null;

  /** The version to answer with: `wanted`, or the last servable one before it. */
  @Column('integer', { nullable: true })
  version: number | null;

  @Column('text', { default: 'primary' })
  role: string;

  @Column('integer', { default: 100 })
  weight: number;

  /** Grows with every change, over all models. */
  @Column('bigint')
  generation: number;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  updatedAt: Date;
}

/** A serving process that lives while its heartbeat does. */
@Entity()
export class ServingProcess {
  @PrimaryColumn('text')
  replica: string;

  @PrimaryColumn('integer')
  process: number;

  @Column('text')
  url: string;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  startedAt: Date;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  heartbeatAt: Date;

  /** The newest deployment generation that it has seen. */
  @Column('bigint', { default: 0 })
  generation: number;
}

/** What a serving process answers with for a model, and how it is getting on with what it should. */
@Entity()
@Index(['modelId'])
export class ServingState {
  @PrimaryColumn('text')
  replica: string;

  @PrimaryColumn('integer')
  process: number;

  @ManyToOne(() => ServingProcess, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'replica', referencedColumnName: 'replica' },
    { name: 'process', referencedColumnName: 'process' },
  ])
  servingProcess: ServingProcess;

  @PrimaryColumn('uuid')
  modelId: string;

  @Column('integer', { nullable: true })
  wanted: number | null;

  @Column('integer', { nullable: true })
  answering: number | null;

  @Column('text')
  state: 'loading' | 'ready' | 'failed' | 'quarantined';

  @Column('text', { nullable: true })
  reason: string | null;

  @Column('bigint', { default: 0 })
  generation: number;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  since: Date;
}

/** A Program that froze or killed a serving process: it runs in a compartment of its own until it is checked again. */
@Entity()
export class Quarantine {
  @PrimaryColumn('text')
  programDigest: string;

  @Column('text')
  reason: string;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  at: Date;
}

/** Requests of one version in one minute, as one serving process counted them. */
@Entity()
export class ServingMinute {
  @PrimaryColumn('uuid')
  modelId: string;

  @PrimaryColumn({ type: 'timestamptz', precision: 3 })
  minute: Date;

  @PrimaryColumn('integer')
  version: number;

  @PrimaryColumn('text')
  replica: string;

  @PrimaryColumn('integer')
  process: number;

  @Column('bigint')
  requests: number;

  @Column('bigint')
  errors: number;

  /** Count of requests for each bound of `latencyBounds`, the last for those above all. */
  @Column('integer', { array: true })
  buckets: number[];
}
