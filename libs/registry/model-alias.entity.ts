import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { RegisteredModel } from './registered-model.entity.js';

/** A movable name of a version. */
@Entity()
export class ModelAlias {
  @PrimaryColumn('uuid')
  modelId: string;

  @ManyToOne(() => RegisteredModel)
  @JoinColumn({ name: 'model_id' })
  model: RegisteredModel;

  @PrimaryColumn('text')
  alias: string;

  @Column('integer')
  version: number;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  updatedAt: Date;
}
