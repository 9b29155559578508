import { Column, Entity, PrimaryColumn } from 'typeorm';

/** One line of a manifest: path → blob. Manifests are stored once, by the digest of their canonical form. */
@Entity()
export class ManifestFile {
  @PrimaryColumn('text')
  manifestDigest: string;

  @PrimaryColumn('text')
  path: string;

  @Column('text')
  digest: string;

  @Column('bigint')
  size: number;

  @Column('jsonb', { nullable: true })
  scan: { verdict: 'safe' | 'code' | 'unreadable'; names: string[] } | null;
}
