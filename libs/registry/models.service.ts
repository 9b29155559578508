import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import { HotPool, inTransaction, preparedRows } from '#database';
import { DomainError, type RequestContext, writeJson } from '#platform';
import { type FieldTable, type ListRequest, listRows, type Page } from '#search';
import { removeDeployment, updateDeployment } from './deployments.js';
import { checkEtag, etagOf } from './etag.js';
import { recordEvent } from './events.js';
import { once } from './idempotency.js';
import { checkAlias, checkModelName } from './names.js';
import {
  type ObservedState,
  observedSql,
  type ServingSummary,
  summarise,
} from './serving-status.js';
import { mergeTags, type TagChanges } from './tags.js';
import { releaseVersions } from './version-release.js';

export interface ModelView {
  id: string;
  name: string;
  description: string;
  tags: Record<string, string>;
  metadata: Record<string, unknown>;
  production: number | null;
  staging: number | null;
  aliases: Record<string, number>;
  latestVersion: number | null;
  versionCount: number;
  follow: string;
  serving: ServingSummary;
  createdBy: string;
  createdAt: string;
  updatedAt: string;
  etag: string;
}

export interface NewModel {
  name: string;
  description?: string;
  tags?: Record<string, string>;
  metadata?: Record<string, unknown>;
}

export interface ModelChanges {
  name?: string;
  description?: string;
  tags?: TagChanges;
  metadata?: Record<string, unknown>;
  follow?: string;
}

/** A live model, as other services need it. */
export interface FoundModel {
  id: string;
  name: string;
  follow: string;
  revision: number;
}

interface ModelRow extends Omit<ModelView, 'serving' | 'createdAt' | 'updatedAt' | 'etag'> {
  revision: number;
  createdAt: Date;
  updatedAt: Date;
  wanted: number | null;
  deployed: number | null;
  generation: number | null;
  observed: ObservedState[];
}

const inStage = (
  stage: string,
) => `(SELECT v.version FROM model_version v WHERE v.model_id = m.id AND v.stage = '${stage}'
  AND v.deleted_at IS NULL ORDER BY v.stage_entered DESC LIMIT 1)`;

const columns = `m.id, m.name, m.description, m.tags, m.metadata, m.follow, m.revision, m.created_by AS "createdBy",
  m.created_at AS "createdAt", m.updated_at AS "updatedAt",
  ${inStage('Production')} AS production, ${inStage('Staging')} AS staging,
  (SELECT coalesce(json_object_agg(a.alias, a.version ORDER BY a.alias), '{}') FROM model_alias a WHERE a.model_id = m.id) AS aliases,
  (SELECT max(v.version) FROM model_version v WHERE v.model_id = m.id AND v.deleted_at IS NULL) AS "latestVersion",
  (SELECT count(*)::int FROM model_version v WHERE v.model_id = m.id AND v.deleted_at IS NULL) AS "versionCount",
  d.wanted, d.version AS deployed, d.generation, ${observedSql} AS observed`;

const table = `registered_model m LEFT JOIN deployment d ON d.model_id = m.id AND d.variant = 'primary'`;

/** What `?filter=` and `?order=` of models may name. */
const fields: FieldTable = {
  name: { kind: 'string', sql: 'm.name COLLATE "C"', notNull: true },
  description: { kind: 'string', sql: 'm.description' },
  follow: { kind: 'string', sql: 'm.follow' },
  createdAt: { kind: 'time', sql: 'm.created_at' },
  updatedAt: { kind: 'time', sql: 'm.updated_at' },
  latestVersion: {
    kind: 'number',
    sql: '(SELECT max(v.version) FROM model_version v WHERE v.model_id = m.id AND v.deleted_at IS NULL)',
  },
  production: { kind: 'number', sql: inStage('Production') },
  staging: { kind: 'number', sql: inStage('Staging') },
  tags: { kind: 'tags', sql: 'm.tags' },
};

/** Registered models: names, descriptions, tags, and what serving follows. */
@Injectable()
export class ModelsService {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly pool: HotPool,
  ) {}

  /** @throws DomainError ALREADY_EXISTS when a live model has the name */
  async create(context: RequestContext, model: NewModel): Promise<ModelView> {
    checkModelName(model.name);
    const { answer: id } = await once(this.dataSource, context, async (manager) => {
      const created = await createModel(manager, context, model);
      if (created) return created;
      throw new DomainError(
        'ALREADY_EXISTS',
        `A model named "${model.name}" already exists. Log a new version of it, or choose another name.`,
      );
    });
    return this.get(context, id);
  }

  /** The live model of a name. @throws DomainError NOT_FOUND */
  async find(context: RequestContext, name: string): Promise<FoundModel> {
    checkText(name);
    const model = await this.pool.row<FoundModel>(
      {
        name: 'model-find',
        text: `SELECT id, name, follow, revision FROM registered_model
          WHERE workspace = $1 AND name = $2 AND deleted_at IS NULL`,
      },
      [context.workspace, name],
    );
    if (!model) throw noModel(name);
    return model;
  }

  /** The id of a live model by its name, or of any model, deleted ones too, by its id. @throws DomainError NOT_FOUND */
  async findId(context: RequestContext, nameOrId: string): Promise<string> {
    checkText(nameOrId);
    const [model] = await this.dataSource.query<{ id: string }[]>(
      `SELECT id FROM registered_model WHERE workspace = $1 AND (name = $2 AND deleted_at IS NULL OR id::text = $2)
       ORDER BY name = $2 AND deleted_at IS NULL DESC LIMIT 1`,
      [context.workspace, nameOrId],
    );
    if (!model) throw noModel(nameOrId);
    return model.id;
  }

  async getByName(context: RequestContext, name: string): Promise<ModelView> {
    return this.get(context, (await this.find(context, name)).id);
  }

  async get(context: RequestContext, id: string): Promise<ModelView> {
    const row = await this.pool.row<ModelRow>(
      {
        name: 'model-get',
        text: `SELECT ${columns} FROM ${table} WHERE m.id = $1 AND m.workspace = $2`,
      },
      [id, context.workspace],
    );
    if (!row) throw DomainError.notFound('The model');
    return view(row);
  }

  /** Models by name; MLflow's prompts, which it keeps as models, are left out. */
  async list(context: RequestContext, request: ListRequest): Promise<Page<ModelView>> {
    const page = await listRows<ModelRow>(this.dataSource, {
      select: columns,
      from: table,
      where: `m.workspace = $1 AND m.deleted_at IS NULL AND m.tags->>'mlflow.prompt.is_prompt' IS DISTINCT FROM 'true'`,
      values: [context.workspace],
      fields,
      defaultOrder: 'name',
      tie: [{ kind: 'uuid', sql: 'm.id' }],
      request,
    });
    return { ...page, items: page.items.map(view) };
  }

  async update(
    context: RequestContext,
    name: string,
    changes: ModelChanges,
    ifMatch?: string,
  ): Promise<ModelView> {
    if (changes.name !== undefined) checkModelName(changes.name);
    if (changes.follow !== undefined) checkFollow(changes.follow);
    const { id } = await this.find(context, name);
    await inTransaction(this.dataSource, async (manager) => {
      const model = await lock(manager, id, name);
      checkEtag(ifMatch, model.revision, `model "${name}"`);
      if (changes.name !== undefined && changes.name !== name) {
        await checkFree(manager, context, changes.name);
      }
      await manager.query(
        `UPDATE registered_model SET name = coalesce($2, name), description = coalesce($3, description), tags = $4,
           metadata = coalesce($5, metadata), follow = coalesce($6, follow), revision = revision + 1, updated_at = now()
         WHERE id = $1`,
        [
          id,
          changes.name,
          changes.description,
          mergeTags(model.tags, changes.tags),
          changes.metadata && writeJson(changes.metadata),
          changes.follow,
        ],
      );
      await updateDeployment(manager, id, { force: changes.name !== undefined });
      await recordEvent(manager, context, {
        kind: 'model.updated',
        modelId: id,
        model: changes.name ?? name,
      });
    });
    return this.get(context, id);
  }

  /**
   * Deletes a model and its versions; its name may be used anew, its transitions stay readable by its id.
   * @throws DomainError FAILED_PRECONDITION when it is being served and `force` is not set
   */
  async delete(
    context: RequestContext,
    name: string,
    { force = false, ifMatch }: { force?: boolean; ifMatch?: string },
  ): Promise<void> {
    const { id } = await this.find(context, name);
    await inTransaction(this.dataSource, async (manager) => {
      const model = await lock(manager, id, name);
      checkEtag(ifMatch, model.revision, `model "${name}"`);
      if (model.deployed !== null && !force) {
        throw new DomainError(
          'FAILED_PRECONDITION',
          `The model "${name}" is being served (version ${model.deployed}). Take it out of Production first, or delete it with ?force=true.`,
        );
      }
      await removeDeployment(manager, id);
      await releaseVersions(manager, id);
      await manager.query(`DELETE FROM model_alias WHERE model_id = $1`, [id]);
      await manager.query(
        `UPDATE registered_model SET deleted_at = now(), updated_at = now(), revision = revision + 1 WHERE id = $1`,
        [id],
      );
      await recordEvent(manager, context, { kind: 'model.deleted', modelId: id, model: name });
    });
  }
}

/** Inserts a model where no live one has its name; returns its id, or undefined where one has. */
export async function createModel(
  manager: EntityManager,
  context: RequestContext,
  { name, description = '', tags = {}, metadata = {} }: NewModel,
): Promise<string | undefined> {
  const [row] = await manager.query<{ id: string }[]>(
    `INSERT INTO registered_model (workspace, name, description, tags, metadata, created_by)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (workspace, name) WHERE deleted_at IS NULL DO NOTHING RETURNING id`,
    [context.workspace, name, description, tags, writeJson(metadata), context.actor],
  );
  if (row)
    await recordEvent(manager, context, { kind: 'model.created', modelId: row.id, model: name });
  return row?.id;
}

/**
 * Notes, in the caller's transaction, that a model changed: its ETag and `updatedAt` are new.
 * @param productionTop the newest transition of Production, the top of its stack, where that changed too
 */
export async function touchModel(
  manager: EntityManager,
  modelId: string,
  productionTop?: number,
): Promise<void> {
  await preparedRows(
    manager,
    {
      name: 'model-touch',
      text: `UPDATE registered_model SET revision = revision + 1, updated_at = now(),
        production_top = coalesce($2, production_top) WHERE id = $1`,
    },
    [modelId, productionTop],
  );
}

/** PostgreSQL's texts cannot have a NUL, so no model has such a name. @throws DomainError NOT_FOUND */
export function checkText(name: string): void {
  if (name.includes('\0')) throw noModel(name);
}

export function noModel(name: string): DomainError {
  return DomainError.notFound(
    `The model ${JSON.stringify(name.slice(0, 300))}`,
    'Names are case-sensitive; list them with GET /api/v1/models.',
  );
}

function view({ wanted, deployed, generation, observed, revision, ...row }: ModelRow): ModelView {
  return {
    ...row,
    serving: summarise({ wanted, version: deployed, generation }, observed),
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    etag: etagOf(revision),
  };
}

function checkFollow(follow: string): void {
  if (follow === 'production') return;
  if (!follow.startsWith('@')) {
    throw DomainError.invalid(
      '/follow',
      `"follow" is ${JSON.stringify(follow.slice(0, 300))}; write "production" or an alias such as "@champion".`,
    );
  }
  checkAlias(follow.slice(1), '/follow');
}

async function lock(
  manager: EntityManager,
  id: string,
  name: string,
): Promise<{ revision: number; tags: Record<string, string>; deployed: number | null }> {
  const [row] = await manager.query<
    { revision: number; tags: Record<string, string>; deployed: number | null }[]
  >(
    `SELECT m.revision, m.tags,
            (SELECT d.version FROM deployment d WHERE d.model_id = m.id AND d.variant = 'primary') AS deployed
     FROM registered_model m WHERE m.id = $1 AND m.deleted_at IS NULL FOR UPDATE OF m`,
    [id],
  );
  if (!row) throw noModel(name);
  return row;
}

async function checkFree(
  manager: EntityManager,
  context: RequestContext,
  name: string,
): Promise<void> {
  const taken = await manager.query<unknown[]>(
    `SELECT 1 FROM registered_model WHERE workspace = $1 AND name = $2 AND deleted_at IS NULL`,
    [context.workspace, name],
  );
  if (taken.length > 0) {
    throw new DomainError(
      'ALREADY_EXISTS',
      `Another model is already named "${name}". Choose another name.`,
    );
  }
}
