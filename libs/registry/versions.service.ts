import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import { HotPool, inTransaction } from '#database';
import { BlobService } from '#artifacts';
import type { Scan } from '#formats';
import { DomainError, type RequestContext, writeJson, channels } from '#platform';
import type { Signature } from '#program';
import { type ListRequest, listRows, type Page } from '#search';
import { updateDeployment } from './deployments.js';
import { checkEtag } from './etag.js';
import { recordEvent } from './events.js';
import { scansOf } from './file-scans.js';
import { once } from './idempotency.js';
import { type NewLineage, writeLineage } from './lineage.js';
import { checkManifest, type ManifestEntry, manifestDigest, type SizedEntry } from './manifest.js';
import { checkText, createModel, ModelsService, noModel, touchModel } from './models.service.js';
import { checkModelName } from './names.js';
import { mergeTags, type TagChanges } from './tags.js';
import { releaseVersions } from './version-release.js';
import {
  describeReference,
  parseVersionReference,
  referenceSql,
  type VersionReference,
} from './version-reference.js';
import {
  type InputExample,
  versionColumns,
  versionFields,
  type VersionRow,
  versionTables,
  versionView,
  type VersionView,
} from './version-view.js';

export interface NewVersion {
  files: ManifestEntry[];
  format?: string | null;
  description?: string;
  tags?: Record<string, string>;
  metadata?: Record<string, unknown>;
  signature?: Signature;
  inputExample?: InputExample;
  metrics?: Record<string, number | bigint | string>;
  params?: Record<string, string>;
  lineage?: NewLineage;
}

export interface VersionChanges {
  description?: string;
  tags?: TagChanges;
  metadata?: Record<string, unknown>;
}

/** Versions: immutable snapshots, made in one transaction after their blobs are stored. */
@Injectable()
export class VersionsService {
  /** Versions that this process has made since it began, for metrics. */
  created = 0;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly models: ModelsService,
    private readonly blobs: BlobService,
    private readonly pool: HotPool,
  ) {}

  /**
   * Makes the next version of a model (and the model, where there is none) in one transaction: a version that is
   * visible is complete. Numbers are dense and never used again: they come from a counter under the lock of the model.
   * @throws DomainError BLOB_MISSING with all digests that are not stored; nothing is made then
   */
  async create(context: RequestContext, model: string, version: NewVersion): Promise<VersionView> {
    checkModelName(model, '');
    checkManifest(version.files);
    const { answer: number, repeated } = await once(this.dataSource, context, (manager) =>
      this.insert(manager, context, model, version),
    );
    if (!repeated) this.created++;
    return this.get(context, model, String(number));
  }

  /** What the scanner found in the files of a manifest, by path; nothing for files without a pickle, or not scanned yet. */
  async scans(manifestDigest: string | null): Promise<Map<string, Scan>> {
    return manifestDigest === null ? new Map() : scansOf(this.dataSource, manifestDigest);
  }

  async get(context: RequestContext, model: string, version: string): Promise<VersionView> {
    const reference = parseVersionReference(version);
    checkText(model);
    const { where, values } = referenceSql(reference, 'm.id', '$3');
    const row = await this.pool.row<VersionRow>(
      {
        name: `version-get-${reference.kind}`,
        text: `SELECT ${versionColumns} FROM ${versionTables}
          WHERE m.workspace = $1 AND m.name = $2 AND m.deleted_at IS NULL AND v.deleted_at IS NULL AND ${where}`,
      },
      [context.workspace, model, ...values],
    );
    if (row) return versionView(row);
    await this.models.find(context, model);
    throw noVersion(model, reference);
  }

  /**
   * The digest of a version's `program.json`.
   * @throws DomainError FAILED_PRECONDITION with the reason, where it has no Program
   */
  async programDigest(context: RequestContext, model: string, version: string): Promise<string> {
    const { id, serving, version: number } = await this.get(context, model, version);
    const [row] = await this.dataSource.query<{ digest: string | null }[]>(
      `SELECT program_digest AS digest FROM model_version WHERE id = $1`,
      [id],
    );
    if (row?.digest) return row.digest;
    throw new DomainError(
      'FAILED_PRECONDITION',
      `Version ${number} of "${model}" has no Program: it is ${serving.state}${serving.reason ? `. ${serving.reason}` : ''}`,
    );
  }

  /** Versions of a model, newest first where the request names no order. */
  async list(
    context: RequestContext,
    model: string,
    request: ListRequest,
  ): Promise<Page<VersionView>> {
    const { id } = await this.models.find(context, model);
    const page = await listRows<VersionRow>(this.dataSource, {
      select: versionColumns,
      from: versionTables,
      where: 'v.model_id = $1 AND v.deleted_at IS NULL',
      values: [id],
      fields: versionFields,
      defaultOrder: '-version',
      tie: [{ kind: 'number', sql: 'v.version' }],
      request,
    });
    return { ...page, items: page.items.map(versionView) };
  }

  /** Changes what may change of a version: description, tags, metadata. */
  async update(
    context: RequestContext,
    model: string,
    version: string,
    changes: VersionChanges,
    ifMatch?: string,
  ): Promise<VersionView> {
    const { number } = await inTransaction(this.dataSource, async (manager) => {
      const row = await this.lock(manager, context, model, version);
      checkEtag(ifMatch, row.revision, `version ${row.number} of "${model}"`);
      await manager.query(
        `UPDATE model_version SET description = coalesce($2, description), tags = $3, metadata = coalesce($4, metadata),
           revision = revision + 1, updated_at = now() WHERE id = $1`,
        [
          row.id,
          changes.description,
          mergeTags(row.tags, changes.tags),
          changes.metadata && writeJson(changes.metadata),
        ],
      );
      await recordEvent(manager, context, {
        kind: 'version.updated',
        modelId: row.modelId,
        model,
        version: row.number,
      });
      return row;
    });
    return this.get(context, model, String(number));
  }

  /**
   * Deletes a version; its number is not used again.
   * @throws DomainError FAILED_PRECONDITION while it is being served
   */
  async delete(
    context: RequestContext,
    model: string,
    version: string,
    ifMatch?: string,
  ): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      const row = await this.lock(manager, context, model, version);
      checkEtag(ifMatch, row.revision, `version ${row.number} of "${model}"`);
      // One that is wanted keeps its predecessor answering: without it the model would follow nothing.
      const serving = await manager.query<unknown[]>(
        `SELECT 1 FROM deployment WHERE model_id = $1 AND version IS NOT NULL AND (version = $2 OR wanted = $2)`,
        [row.modelId, row.number],
      );
      if (serving.length > 0) {
        throw new DomainError(
          'FAILED_PRECONDITION',
          `Version ${row.number} of "${model}" is being served. Promote another version or archive this one first.`,
        );
      }
      await releaseVersions(manager, row.modelId, row.number);
      await manager.query(`DELETE FROM model_alias WHERE model_id = $1 AND version = $2`, [
        row.modelId,
        row.number,
      ]);
      await touchModel(manager, row.modelId);
      await updateDeployment(manager, row.modelId);
      await recordEvent(manager, context, {
        kind: 'version.deleted',
        modelId: row.modelId,
        model,
        version: row.number,
      });
    });
  }

  private async insert(
    manager: EntityManager,
    context: RequestContext,
    model: string,
    version: NewVersion,
  ): Promise<number> {
    await createModel(manager, context, { name: model });
    const [locked] = await manager.query<{ id: string; lastVersion: number }[]>(
      `SELECT id, last_version AS "lastVersion" FROM registered_model
       WHERE workspace = $1 AND name = $2 AND deleted_at IS NULL FOR UPDATE`,
      [context.workspace, model],
    );
    if (!locked) throw noModel(model);
    const number = locked.lastVersion + 1;
    const [{ id } = { id: '' }] = await manager.query<{ id: string }[]>(
      `SELECT gen_random_uuid() AS id`,
    );
    const files = await this.keepBlobs(manager, id, version.files);
    const digest = manifestDigest(files);
    await manager.query(
      `INSERT INTO model_version (id, model_id, version, description, tags, metadata, format, signature, input_example,
         metrics, params, manifest_digest, size, created_by)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
      [
        id,
        locked.id,
        number,
        version.description ?? '',
        version.tags ?? {},
        writeJson(version.metadata ?? {}),
        version.format ?? null,
        version.signature ?? null,
        version.inputExample ? writeJson(version.inputExample) : null,
        writeJson(version.metrics ?? {}),
        version.params ?? {},
        digest,
        files.reduce((sum, file) => sum + file.size, 0),
        context.actor,
      ],
    );
    await manager.query(
      `INSERT INTO manifest_file (manifest_digest, path, digest, size)
       SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING`,
      [digest, files.map((f) => f.path), files.map((f) => f.digest), files.map((f) => f.size)],
    );
    await writeLineage(manager, context, id, version.lineage);
    await manager.query(`INSERT INTO compile_job (version_id, trace) VALUES ($1, $2)`, [
      id,
      context.trace,
    ]);
    await manager.query(`NOTIFY ${channels.compile}`);
    await manager.query(`UPDATE registered_model SET last_version = $2 WHERE id = $1`, [
      locked.id,
      number,
    ]);
    await touchModel(manager, locked.id);
    await recordEvent(manager, context, {
      kind: 'version.created',
      modelId: locked.id,
      model,
      version: number,
      data: { digest },
    });
    return number;
  }

  private async keepBlobs(
    manager: EntityManager,
    owner: string,
    files: ManifestEntry[],
  ): Promise<SizedEntry[]> {
    const sizes = await this.blobs.reference(manager, {
      kind: 'version',
      owner,
      blobs: files.map(({ digest }, i) => ({ digest, pointer: `/files/${i}/digest` })),
    });
    return files.map(({ path, digest }) => ({ path, digest, size: sizes.get(digest) ?? 0 }));
  }

  private async lock(
    manager: EntityManager,
    context: RequestContext,
    model: string,
    version: string,
  ): Promise<{
    id: string;
    modelId: string;
    number: number;
    revision: number;
    tags: Record<string, string>;
  }> {
    const reference = parseVersionReference(version);
    const { id: modelId } = await this.models.find(context, model);
    await manager.query(`SELECT 1 FROM registered_model WHERE id = $1 FOR UPDATE`, [modelId]);
    const { where, values } = referenceSql(reference);
    const [row] = await manager.query<
      { id: string; number: number; revision: number; tags: Record<string, string> }[]
    >(
      `SELECT v.id, v.version AS number, v.revision, v.tags FROM model_version v
       WHERE v.model_id = $1 AND v.deleted_at IS NULL AND ${where} FOR UPDATE OF v`,
      [modelId, ...values],
    );
    if (!row) throw noVersion(model, reference);
    return { ...row, modelId };
  }
}

export function noVersion(model: string, reference: VersionReference): DomainError {
  const what = describeReference(reference).replace(/^./, (c) => c.toUpperCase());
  return DomainError.notFound(
    `${what} of the model "${model}"`,
    `List what there is with GET /api/v1/models/${encodeURIComponent(model)}/versions.`,
  );
}
