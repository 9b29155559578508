import { Column, Entity, Index, PrimaryColumn, PrimaryGeneratedColumn, Unique } from 'typeorm';

export type LineageKind = 'dataset' | 'run' | 'version' | 'deployment';

/** One edge of the lineage graph, in the direction in which things are made: dataset → run → version → deployment. */
@Entity()
@Index(['toKind', 'toId'])
export class LineageEdge {
  @PrimaryColumn('text')
  fromKind: LineageKind;

  @PrimaryColumn('text')
  fromId: string;

  @PrimaryColumn('text')
  toKind: LineageKind;

  @PrimaryColumn('text')
  toId: string;

  @Column('text', { default: 'default' })
  workspace: string;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  createdAt: Date;
}

/** What a model was trained on, as its author named it. */
@Entity()
@Unique(['workspace', 'name', 'digest', 'source'])
export class Dataset {
  @PrimaryGeneratedColumn('uuid')
  id: string;

  @Column('text', { default: 'default' })
  workspace: string;

  @Column('text')
  name: string;

  @Column('text', { default: '' })
  digest: string;

  @Column('text', { default: '' })
  source: string;
}
