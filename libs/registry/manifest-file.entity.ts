import type { Scan } from '#formats';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** One line of a manifest: path → blob. Manifests are stored once, by the digest of their canonical form. */
@Entity()
export class ManifestFile {
  @PrimaryColumn('text')
  manifestDigest: string;

  @PrimaryColumn('text')
  path: string;

  @Index()
  @Column('text')
  digest: string;

  @Column('bigint')
  size: number;

  /** See file-scans.ts; null: not scanned yet. */
  @Column('jsonb', { nullable: true })
  scan: (Partial<Scan> & { scanner: number }) | null;
}
