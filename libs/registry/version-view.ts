import type { Signature, Signatures } from '#program';
import type { FieldTable } from '#search';
import { etagOf } from './etag.js';
import { lineageSql, type VersionLineage } from './lineage.js';
import type { SizedEntry } from './manifest.js';
import type { ServingVerdict, Stage } from './model-version.entity.js';

/** A V2 infer request; with `expected` its rows are golden: the compiled version must reproduce them. */
export interface InputExample {
  id?: string;
  inputs: unknown[];
  outputs?: { name: string; parameters?: Record<string, unknown> }[];
  parameters?: Record<string, unknown>;
  expected?: unknown[];
  tolerance?: { rtol?: number; atol?: number };
}

/** A version, as it is told. */
export interface VersionView {
  id: string;
  model: string;
  version: number;
  stage: Stage;
  aliases: string[];
  description: string;
  tags: Record<string, string>;
  metadata: Record<string, unknown>;
  format: string | null;
  signature: Signature | null;
  /** Where the model's signatures have names. */
  signatures: Signatures | null;
  inputExample: InputExample | null;
  metrics: Record<string, number | bigint | string>;
  params: Record<string, string>;
  lineage: VersionLineage;
  /** Null where the bytes are not held here. */
  files: SizedEntry[] | null;
  digest: string | null;
  size: number;
  serving: {
    state: ServingVerdict;
    reason?: string;
    format: string | null;
    difference?: unknown;
    importer: string | null;
    checkedAt: string | null;
  };
  createdBy: string;
  createdAt: string;
  updatedAt: string;
  etag: string;
}

/** A row of {@link versionColumns}. */
export interface VersionRow extends Omit<
  VersionView,
  'serving' | 'createdAt' | 'updatedAt' | 'etag'
> {
  servingState: ServingVerdict;
  servingReason: string | null;
  servingDifference: unknown;
  importer: string | null;
  checkedAt: Date | null;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
}

/** The columns that make a {@link VersionRow}, of `versionTables`. */
export const versionColumns = `v.id, m.name AS model, v.version, v.stage, v.description, v.tags, v.metadata, v.format, v.signature,
  v.signatures,
  v.input_example AS "inputExample", v.metrics, v.params, v.manifest_digest AS digest, v.size,
  v.serving_state AS "servingState", v.serving_reason AS "servingReason", v.serving_difference AS "servingDifference",
  v.importer, v.checked_at AS "checkedAt", v.revision, v.created_by AS "createdBy", v.created_at AS "createdAt",
  v.updated_at AS "updatedAt",
  (SELECT coalesce(json_agg(a.alias ORDER BY a.alias), '[]') FROM model_alias a
     WHERE a.model_id = v.model_id AND a.version = v.version) AS aliases,
  (SELECT json_agg(json_build_object('path', f.path, 'digest', f.digest, 'size', f.size) ORDER BY f.path COLLATE "C")
     FROM manifest_file f WHERE f.manifest_digest = v.manifest_digest) AS files,
  ${lineageSql} AS lineage`;

export const versionTables = 'model_version v JOIN registered_model m ON m.id = v.model_id';

/** What `?filter=` and `?order=` of versions may name. */
export const versionFields: FieldTable = {
  version: { kind: 'number', sql: 'v.version' },
  stage: { kind: 'string', sql: 'v.stage' },
  description: { kind: 'string', sql: 'v.description' },
  format: { kind: 'string', sql: 'v.format' },
  size: { kind: 'number', sql: 'v.size' },
  createdAt: { kind: 'time', sql: 'v.created_at' },
  updatedAt: { kind: 'time', sql: 'v.updated_at' },
  tags: { kind: 'tags', sql: 'v.tags' },
  metrics: { kind: 'metrics', sql: 'v.metrics' },
  params: { kind: 'params', sql: 'v.params' },
};

export function versionView({
  servingState,
  servingReason,
  servingDifference,
  importer,
  checkedAt,
  revision,
  ...row
}: VersionRow): VersionView {
  return {
    ...row,
    serving: {
      state: servingState,
      ...(servingReason === null ? {} : { reason: servingReason }),
      format: row.format,
      ...(servingDifference === null ? {} : { difference: servingDifference }),
      importer,
      checkedAt: checkedAt?.toISOString() ?? null,
    },
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    etag: etagOf(revision),
  };
}
