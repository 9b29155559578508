import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { RequestContext } from '#platform';
import type { LineageKind } from './lineage.entities.js';
import { VersionsService } from './versions.service.js';

export interface LineageNode {
  /** `version:…`, `dataset:…`, `run:…` or `deployment:…`: what edges point to. */
  id: string;
  kind: LineageKind;
  /** How it is called: `iris/2`, a data set's name, a run's id. */
  name: string;
  /** Steps from where the walk began. */
  depth: number;
  model?: string;
  version?: number;
  stage?: string;
  deleted?: boolean;
  digest?: string;
  source?: string;
}

export interface LineageGraph {
  nodes: LineageNode[];
  edges: { from: string; to: string }[];
}

export type LineageDirection = 'up' | 'down' | 'both';

const maxNodes = 1000;

/** Walks the edges dataset → run → version → deployment, and version → version, from one version. */
@Injectable()
export class LineageService {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly versions: VersionsService,
  ) {}

  /** @param depth how many steps at most, in each direction; at most 1,000 nodes are told */
  async of(
    context: RequestContext,
    model: string,
    version: string,
    direction: LineageDirection,
    depth: number,
  ): Promise<LineageGraph> {
    const { id } = await this.versions.get(context, model, version);
    const start = `version:${id}`;
    const found = new Map([[start, 0]]);
    const edges = new Map<string, { from: string; to: string }>();
    const walks = direction === 'both' ? (['up', 'down'] as const) : ([direction] as const);
    for (const walk of walks) {
      let frontier = [start];
      for (let step = 1; step <= depth && frontier.length > 0 && found.size < maxNodes; step++) {
        const next: string[] = [];
        for (const edge of await this.edges(context, frontier, walk)) {
          edges.set(`${edge.from} ${edge.to}`, edge);
          const reached = walk === 'up' ? edge.from : edge.to;
          if (found.has(reached) || found.size >= maxNodes) continue;
          found.set(reached, step);
          next.push(reached);
        }
        frontier = next;
      }
    }
    const nodes = await this.nodes(found);
    const known = new Set(nodes.map((node) => node.id));
    return {
      nodes,
      edges: [...edges.values()].filter((e) => known.has(e.from) && known.has(e.to)),
    };
  }

  private edges(
    context: RequestContext,
    ids: string[],
    direction: 'up' | 'down',
  ): Promise<{ from: string; to: string }[]> {
    const end = direction === 'up' ? 'to' : 'from';
    return this.dataSource.query(
      `SELECT e.from_kind || ':' || e.from_id AS "from", e.to_kind || ':' || e.to_id AS "to"
       FROM (SELECT from_kind, from_id, to_kind, to_id FROM lineage_edge WHERE workspace = $1
             UNION ALL
             SELECT 'version', v.id::text, 'deployment', d.model_id::text
             FROM deployment d JOIN model_version v ON v.model_id = d.model_id AND v.version = d.version) e
       WHERE (e.${end}_kind, e.${end}_id) IN (SELECT * FROM unnest($2::text[], $3::text[])) LIMIT 10000`,
      [context.workspace, ids.map(kindOf), ids.map(idOf)],
    );
  }

  private async nodes(found: Map<string, number>): Promise<LineageNode[]> {
    const ids = [...found.keys()];
    const of = (kind: LineageKind) => ids.filter((id) => kindOf(id) === kind).map(idOf);
    const versions = await this.dataSource.query<
      { id: string; model: string; version: number; stage: string; deleted: boolean }[]
    >(
      `SELECT v.id, m.name AS model, v.version, v.stage, v.deleted_at IS NOT NULL AS deleted
       FROM model_version v JOIN registered_model m ON m.id = v.model_id WHERE v.id::text = ANY($1)`,
      [of('version')],
    );
    const datasets = await this.dataSource.query<
      { id: string; name: string; digest: string; source: string }[]
    >(`SELECT id, name, digest, source FROM dataset WHERE id::text = ANY($1)`, [of('dataset')]);
    const models = await this.dataSource.query<{ id: string; name: string }[]>(
      `SELECT id, name FROM registered_model WHERE id::text = ANY($1)`,
      [of('deployment')],
    );
    const depth = (id: string) => found.get(id) ?? 0;
    const nodes: LineageNode[] = [
      ...versions.map(({ id, deleted, ...row }) => ({
        id: `version:${id}`,
        kind: 'version' as const,
        name: `${row.model}/${row.version}`,
        depth: depth(`version:${id}`),
        ...row,
        ...(deleted ? { deleted } : {}),
      })),
      ...datasets.map(({ id, ...row }) => ({
        id: `dataset:${id}`,
        kind: 'dataset' as const,
        depth: depth(`dataset:${id}`),
        ...row,
      })),
      ...of('run').map((id) => ({
        id: `run:${id}`,
        kind: 'run' as const,
        name: id,
        depth: depth(`run:${id}`),
      })),
      ...models.map(({ id, name }) => ({
        id: `deployment:${id}`,
        kind: 'deployment' as const,
        name,
        model: name,
        depth: depth(`deployment:${id}`),
      })),
    ];
    return nodes.sort((a, b) => a.depth - b.depth || a.id.localeCompare(b.id));
  }
}

function kindOf(id: string): string {
  return id.slice(0, id.indexOf(':'));
}

function idOf(id: string): string {
  return id.slice(id.indexOf(':') + 1);
}
