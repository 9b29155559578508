import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { RequestContext } from '#platform';
import { ModelsService } from './models.service.js';
import { VersionsService } from './versions.service.js';

/** What of a version a blob is. */
export interface BlobUser {
  model: string;
  version: number;
  /** `file`: uploaded with the version; `program`: made of its files by the compile step. */
  kind: 'file' | 'program';
  /** Of the file; `program.json` or `weights.bin` of a Program. */
  path: string;
}

/** A blob that more versions need than this is told with so many of them. */
const MAX_USERS = 100;

/** Which versions need which blobs. */
@Injectable()
export class BlobUsers {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly models: ModelsService,
    private readonly versions: VersionsService,
  ) {}

  /** The owners of the blobs of a model, or of one of its versions. @throws DomainError NOT_FOUND */
  async ownersOf(context: RequestContext, model: string, version?: string): Promise<string[]> {
    if (version !== undefined) return [(await this.versions.get(context, model, version)).id];
    const { id } = await this.models.find(context, model);
    const rows = await this.dataSource.query<{ id: string }[]>(
      `SELECT id FROM model_version WHERE model_id = $1 AND deleted_at IS NULL`,
      [id],
    );
    return rows.map((row) => row.id);
  }

  /** At most a hundred users of each blob, by name and number, those of blobs that it is a part of included. */
  async usersOf(
    { workspace }: RequestContext,
    digests: string[],
  ): Promise<Map<string, BlobUser[]>> {
    const users = new Map<string, BlobUser[]>();
    if (digests.length === 0) return users;
    const rows = await this.dataSource.query<(BlobUser & { digest: string })[]>(
      `SELECT * FROM (
         SELECT r.digest, m.name AS model, v.version,
           CASE r.kind WHEN 'version' THEN 'file' ELSE r.kind END AS kind,
           CASE WHEN r.kind = 'version' THEN f.path
             WHEN v.program_digest = r.whole THEN 'program.json' ELSE 'weights.bin' END AS path,
           row_number() OVER (PARTITION BY r.digest ORDER BY m.name, v.version, f.path) AS place
         FROM (SELECT digest, digest AS whole, kind, owner FROM blob_reference WHERE kind <> 'part'
               UNION SELECT part.digest, r.digest, r.kind, r.owner FROM blob_reference part
               JOIN blob_reference r ON r.digest = part.owner AND r.kind <> 'part' WHERE part.kind = 'part') r
         JOIN model_version v ON v.id = CASE WHEN r.kind IN ('version', 'program') THEN r.owner::uuid END
         JOIN registered_model m ON m.id = v.model_id
         LEFT JOIN manifest_file f
           ON r.kind = 'version' AND f.manifest_digest = v.manifest_digest AND f.digest = r.whole
         WHERE r.digest = ANY($1) AND m.workspace = $2) found
       WHERE place <= ${MAX_USERS} ORDER BY digest, place`,
      [digests, workspace],
    );
    for (const { digest, model, version, kind, path } of rows) {
      const found = users.get(digest) ?? [];
      users.set(digest, [...found, { model, version, kind, path }]);
    }
    return users;
  }
}
