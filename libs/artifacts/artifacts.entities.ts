import {
  Column,
  Entity,
  Index,
  JoinColumn,
  ManyToOne,
  OneToOne,
  PrimaryColumn,
  PrimaryGeneratedColumn,
} from 'typeorm';

/** Bytes that are in the store, by their digest. The row is written after the bytes, and removed before them. */
@Entity()
export class Blob {
  @PrimaryColumn('text')
  digest: string;

  @Index({ where: 'NOT compared' })
  @Column('bigint')
  size: number;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  createdAt: Date;

  /** Until then a blob stays that nothing refers to. */
  @Index()
  @Column({ type: 'timestamptz', precision: 3 })
  keptUntil: Date;

  /** See {@link ContentHash}; null where the hash that made the blob had not seen all bytes. */
  @Column('bytea', { nullable: true })
  checksums: Buffer | null;

  /** When all its bytes were compared with the digest last. */
  @Index()
  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  verifiedAt: Date;

  /** Since when its bytes are known to be missing or wrong: then it is not stored, for whoever wants to refer to it. */
  @Index({ where: 'damaged_at IS NOT NULL' })
  @Column({ type: 'timestamptz', precision: 3, nullable: true })
  damagedAt: Date | null;

  /** Whether its content was looked for in other blobs; see {@link BlobSharing}. */
  @Column({ default: false })
  compared: boolean;
}

/** Of a blob with bytes of its own: what finds its content in other blobs. */
@Entity()
export class BlobSketch {
  @PrimaryColumn('text')
  digest: string;

  /** All pieces, as `packPieces` writes them. */
  @Column('bytea')
  pieces: Buffer;

  /** See {@link sketchOf}. */
  @Index('blob_sketch_sketch_idx', { synchronize: false })
  @Column('bigint', { array: true })
  sketch: string[];

  @OneToOne(() => Blob, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'digest' })
  blob: Blob;
}

/** What a blob is kept for: a version, a compiled Program, a blob that it is a part of. */
@Entity()
@Index(['kind', 'owner'])
export class BlobReference {
  @PrimaryColumn('text')
  digest: string;

  @PrimaryColumn('text')
  kind: string;

  @PrimaryColumn('text')
  owner: string;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  createdAt: Date;

  @ManyToOne(() => Blob)
  @JoinColumn({ name: 'digest' })
  blob: Blob;
}

/** Content on its way to become a blob; see {@link UploadService}. */
@Entity()
export class Upload {
  @PrimaryGeneratedColumn('uuid')
  id: string;

  @Column('text', { default: 'default' })
  workspace: string;

  /** Bytes that are acknowledged: durable in the store. */
  @Column('bigint', { default: 0 })
  received: number;

  /** `driver`: the store's own; `lease`: who writes at the moment; `verified`: the blob that it is becoming. */
  @Column('jsonb', { default: {} })
  storeState: object;

  @Column('text')
  createdBy: string;

  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  createdAt: Date;

  @Index()
  @Column({ type: 'timestamptz', precision: 3, default: () => 'now()' })
  touchedAt: Date;
}

export const artifactsEntities = [Blob, BlobReference, BlobSketch, Upload];
