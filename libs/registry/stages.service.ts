import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import { HotPool, preparedRows } from '#database';
import { DomainError, type RequestContext } from '#platform';
import { type ListRequest, listRows, type Page } from '#search';
import { CompileService } from './compile.service.js';
import { updateDeployment } from './deployments.js';
import { checkEtag } from './etag.js';
import { recordEvent } from './events.js';
import { aliasHolder, enterStage, holdersOf, writeAlias } from './holders.js';
import { once } from './idempotency.js';
import type { ServingVerdict, Stage } from './model-version.entity.js';
import { ModelsService, type ModelView, touchModel } from './models.service.js';
import { checkAlias } from './names.js';
import { type ServingSummary, ServingStatus } from './serving-status.js';
import {
  aliasTop,
  insertTransition,
  transitionColumns,
  transitionFields,
  type TransitionRow,
  transitionView,
  type TransitionView,
  versionBelow,
} from './transitions.js';
import { noVersion } from './versions.service.js';
import { parseVersionReference, referenceSql, type VersionReference } from './version-reference.js';

export interface TransitionAnswer {
  /** Null when nothing had to change. */
  transition: TransitionView | null;
  model: ModelView;
  serving: 'ready' | 'loading' | 'failed' | 'unserved';
}

export interface ChangeOptions {
  reason?: string;
  /** The version that must hold the stage or alias now, null = nobody, absent = unchecked. */
  ifCurrent?: number | null;
  /** Seconds to wait for serving. */
  wait?: number;
  /** Record the change although the version cannot be served. */
  unserved?: boolean;
  /** ETag that the model must have. */
  ifMatch?: string;
}

interface LockedModel {
  id: string;
  name: string;
  follow: string;
  productionTop: number | null;
  revision: number;
}

interface LockedVersion {
  id: string;
  version: number;
  stage: Stage;
  servingState: ServingVerdict;
  servingReason: string | null;
}

/**
 * Stages, aliases and rollback. Every change is one transaction under the lock of the model's row: it checks
 * `ifCurrent`, the ETag and the gate, writes one transition, the deployment and the event. So history is linear, at most
 * one version holds Production at any moment, and a rollback can name the version that was there before.
 */
@Injectable()
export class StagesService {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly models: ModelsService,
    private readonly compiler: CompileService,
    private readonly serving: ServingStatus,
    private readonly pool: HotPool,
  ) {}

  /** Puts a version into a stage; into Production it replaces the version that is there, which goes to Archived. */
  async promote(
    context: RequestContext,
    model: string,
    version: string,
    stage: Stage,
    options: ChangeOptions,
  ): Promise<TransitionAnswer> {
    const reference = parseVersionReference(version);
    const { id } = await this.models.find(context, model);
    if (stage === 'Production' && !options.unserved) await this.awaitVerdict(id, model, reference);
    return this.change(context, id, options, async (manager, locked) => {
      const target = await lockVersion(manager, locked, reference);
      const holders = await holdersOf(manager, id, stage);
      checkCurrent(options.ifCurrent, holders[0] ?? null, `stage ${stage}`);
      if (target.stage === stage) return null;
      if (stage === 'Production' && !options.unserved) checkServable(locked, target);
      const touchesProduction = stage === 'Production' || target.stage === 'Production';
      const row = await insertTransition(manager, context, {
        modelId: id,
        reason: options.reason ?? '',
        kind: 'stage',
        alias: null,
        version: target.version,
        from: target.stage,
        to: stage,
        previousVersion: holders[0] ?? null,
        below: touchesProduction ? locked.productionTop : null,
      });
      await enterStage(manager, id, target.version, stage, row.id);
      return { ...(touchesProduction && { productionTop: row.id }), row };
    });
  }

  /** Goes back to the version that held what the model follows before the present one; deleted versions are skipped. */
  async rollback(
    context: RequestContext,
    model: string,
    options: ChangeOptions,
  ): Promise<TransitionAnswer> {
    const { id } = await this.models.find(context, model);
    return this.change(context, id, options, async (manager, locked) => {
      const alias = locked.follow === 'production' ? null : locked.follow.slice(1);
      const current = alias
        ? await aliasHolder(manager, id, alias)
        : ((await holdersOf(manager, id, 'Production'))[0] ?? null);
      checkCurrent(options.ifCurrent, current, alias ? `alias "${alias}"` : 'stage Production');
      const top = alias ? await aliasTop(manager, id, alias) : locked.productionTop;
      const target = await versionBelow(manager, id, top, current);
      if (!target) throw nothingBelow(locked.name, alias, current);
      const version = await lockVersion(manager, locked, {
        kind: 'number',
        version: target.version,
      });
      const row = await insertTransition(manager, context, {
        modelId: id,
        reason: options.reason ?? '',
        kind: 'rollback',
        alias,
        version: target.version,
        from: alias ? null : version.stage,
        to: alias ? `@${alias}` : 'Production',
        previousVersion: current,
        below: target.below,
      });
      if (alias) {
        await writeAlias(manager, id, alias, target.version);
      } else {
        await enterStage(manager, id, target.version, 'Production', row.id);
      }
      return { ...(!alias && { productionTop: row.id }), row };
    });
  }

  /** Moves an alias to a version; makes the alias where there is none. */
  async setAlias(
    context: RequestContext,
    model: string,
    alias: string,
    version: string,
    options: ChangeOptions,
  ): Promise<TransitionAnswer> {
    checkAlias(alias, '');
    const reference = parseVersionReference(version, '/version');
    const { id, follow } = await this.models.find(context, model);
    if (follow === `@${alias}` && !options.unserved) await this.awaitVerdict(id, model, reference);
    return this.change(context, id, options, async (manager, locked) => {
      const target = await lockVersion(manager, locked, reference);
      const current = await aliasHolder(manager, id, alias);
      checkCurrent(options.ifCurrent, current, `alias "${alias}"`);
      if (current === target.version) return null;
      if (locked.follow === `@${alias}` && !options.unserved) checkServable(locked, target);
      const row = await insertTransition(manager, context, {
        modelId: id,
        reason: options.reason ?? '',
        kind: 'alias',
        alias,
        version: target.version,
        from: null,
        to: `@${alias}`,
        previousVersion: current,
        below: await aliasTop(manager, id, alias),
      });
      await writeAlias(manager, id, alias, target.version);
      return { row };
    });
  }

  /** Removes an alias; the version it named stays. */
  async deleteAlias(
    context: RequestContext,
    model: string,
    alias: string,
    options: ChangeOptions,
  ): Promise<TransitionAnswer> {
    checkAlias(alias, '');
    const { id } = await this.models.find(context, model);
    return this.change(context, id, { ...options, wait: 0 }, async (manager, locked) => {
      const current = await aliasHolder(manager, id, alias);
      if (current === null) {
        throw DomainError.notFound(`The alias "${alias}" of the model "${locked.name}"`);
      }
      checkCurrent(options.ifCurrent, current, `alias "${alias}"`);
      const row = await insertTransition(manager, context, {
        modelId: id,
        reason: options.reason ?? '',
        kind: 'alias',
        alias,
        version: null,
        from: `@${alias}`,
        to: null,
        previousVersion: current,
        below: await aliasTop(manager, id, alias),
      });
      await manager.query(`DELETE FROM model_alias WHERE model_id = $1 AND alias = $2`, [
        id,
        alias,
      ]);
      return { row };
    });
  }

  /** The history of a model, newest first; of a deleted one by its id. */
  async transitions(
    context: RequestContext,
    model: string,
    request: ListRequest,
  ): Promise<Page<TransitionView>> {
    const id = await this.models.findId(context, model);
    const page = await listRows<TransitionRow>(this.dataSource, {
      select: transitionColumns,
      from: 'transition',
      where: 'model_id = $1',
      values: [id],
      fields: transitionFields,
      defaultOrder: '-id',
      tie: [{ kind: 'number', sql: 'id' }],
      request,
    });
    return { ...page, items: page.items.map(transitionView) };
  }

  private async change(
    context: RequestContext,
    modelId: string,
    options: ChangeOptions,
    make: (manager: EntityManager, model: LockedModel) => Promise<MadeChange | null>,
  ): Promise<TransitionAnswer> {
    const { answer: transition } = await once(this.dataSource, context, async (manager) => {
      const locked = await lockModel(manager, modelId, options.ifMatch);
      const made = await make(manager, locked);
      if (!made) return null;
      const { row, productionTop } = made;
      await touchModel(manager, modelId, productionTop);
      await updateDeployment(manager, modelId);
      await recordEvent(manager, context, {
        kind: 'transition',
        modelId,
        model: locked.name,
        version: row.version,
        data: { ...row },
      });
      return row;
    });
    const wait = options.wait ?? defaultWait;
    let model = await this.models.get(context, modelId);
    if (model.serving.state === 'loading' && wait > 0) {
      await this.serving.waitUntilSettled(modelId, wait);
      model = await this.models.get(context, modelId);
    }
    return { transition, model, serving: told(model.serving, transition) };
  }

  /** Waits, with no lock held, until the compile step has spoken about the version. */
  private async awaitVerdict(
    modelId: string,
    model: string,
    reference: VersionReference,
  ): Promise<void> {
    const { where, values } = referenceSql(reference);
    const version = await this.pool.row<{ id: string; state: ServingVerdict }>(
      {
        name: `version-verdict-${reference.kind}`,
        text: `SELECT v.id, v.serving_state AS state FROM model_version v
          WHERE v.model_id = $1 AND v.deleted_at IS NULL AND ${where}`,
      },
      [modelId, ...values],
    );
    if (!version) throw noVersion(model, reference);
    if (version.state === 'pending') await this.compiler.awaitVerdict(version.id);
  }
}

interface MadeChange {
  row: TransitionView;
  /** The new top of the stack of Production; absent where Production is as it was. */
  productionTop?: number;
}

const defaultWait = 5;

function told(
  summary: ServingSummary,
  transition: TransitionView | null,
): TransitionAnswer['serving'] {
  const changed = transition?.version ?? summary.wanted;
  if (summary.state === 'none' || summary.state === 'unserved' || changed !== summary.wanted) {
    return 'unserved';
  }
  if (summary.state !== 'quarantined') return summary.state;
  // One that is kept apart may answer all the same.
  return summary.answering === summary.wanted ? 'ready' : 'failed';
}

async function lockModel(
  manager: EntityManager,
  modelId: string,
  ifMatch: string | undefined,
): Promise<LockedModel> {
  const [model] = await preparedRows<LockedModel>(
    manager,
    {
      name: 'model-lock',
      text: `SELECT id, name, follow, production_top AS "productionTop", revision FROM registered_model
        WHERE id = $1 AND deleted_at IS NULL FOR UPDATE`,
    },
    [modelId],
  );
  if (!model) throw DomainError.notFound('The model');
  checkEtag(ifMatch, model.revision, `model "${model.name}"`);
  return model;
}

async function lockVersion(
  manager: EntityManager,
  model: LockedModel,
  reference: VersionReference,
): Promise<LockedVersion> {
  const { where, values } = referenceSql(reference);
  const [version] = await preparedRows<LockedVersion>(
    manager,
    {
      name: `version-lock-${reference.kind}`,
      text: `SELECT v.id, v.version, v.stage, v.serving_state AS "servingState", v.serving_reason AS "servingReason"
        FROM model_version v WHERE v.model_id = $1 AND v.deleted_at IS NULL AND ${where} FOR UPDATE OF v`,
    },
    [model.id, ...values],
  );
  if (!version) throw noVersion(model.name, reference);
  return version;
}

function nothingBelow(model: string, alias: string | null, current: number | null): DomainError {
  const what = alias ? `the alias "${alias}"` : 'Production';
  const before = current === null ? '' : ` before version ${current}`;
  return new DomainError(
    'FAILED_PRECONDITION',
    `There is nothing to roll back to: no earlier version of the model "${model}" held ${what}${before}. Promote a version instead.`,
  );
}

function checkCurrent(
  expected: number | null | undefined,
  current: number | null,
  what: string,
): void {
  if (expected === undefined || expected === current) return;
  const holder = current === null ? 'no version' : `version ${current}`;
  throw new DomainError(
    'CONFLICT',
    `${holder.replace(/^./, (c) => c.toUpperCase())} holds the ${what} now, not ${expected === null ? 'nobody' : `version ${expected}`} as ifCurrent says. Somebody changed it in between: look at the transitions and decide again.`,
    { extra: { current } },
  );
}

function checkServable(model: LockedModel, version: LockedVersion): void {
  if (version.servingState === 'servable') return;
  if (version.servingState === 'pending') {
    throw new DomainError(
      'UNAVAILABLE',
      `Version ${version.version} of "${model.name}" is still being compiled. Try again in a moment.`,
      { retryAfter: 5 },
    );
  }
  throw new DomainError(
    'FAILED_PRECONDITION',
    `Version ${version.version} of "${model.name}" cannot be served: ${version.servingReason ?? version.servingState} Send "unserved": true to record the change all the same.`,
    { extra: { serving: version.servingState, reason: version.servingReason } },
  );
}
