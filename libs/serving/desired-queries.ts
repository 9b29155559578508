import { DomainError } from '#platform';
import type { Resolution, VersionTarget, VersionWord } from './desired.js';

/** Examples above this size (as stored) are not sent to serving: zeros warm a model up as well. */
const EXAMPLE_BYTES = 256 * 1024;

const TARGET = `v.id AS version_id, v.version, v.program_digest, q.reason AS quarantine`;
const exampleUnless = (condition: string): string =>
  `CASE WHEN ${condition} OR pg_column_size(v.input_example) > ${EXAMPLE_BYTES} THEN NULL ELSE v.input_example::text END AS example`;

/** Every word of model `m` with what it stands for, as `[word, version, version id, program digest, quarantine]`. */
const WORDS = `
  SELECT jsonb_agg(jsonb_build_array(n.word, n.version, n.id, n.program_digest, nq.reason)) FROM (
    SELECT '@' || a.alias AS word, av.version, av.id, av.program_digest
      FROM model_alias a
      JOIN model_version av ON av.model_id = a.model_id AND av.version = a.version AND av.deleted_at IS NULL
      WHERE a.model_id = m.id
    UNION ALL
    SELECT DISTINCT ON (sv.stage) lower(sv.stage), sv.version, sv.id, sv.program_digest
      FROM (SELECT * FROM model_version WHERE model_id = m.id AND deleted_at IS NULL
            AND stage IN ('Production', 'Staging') ORDER BY stage, stage_entered DESC, version DESC) sv
    UNION ALL
    (SELECT 'latest', lv.version, lv.id, lv.program_digest FROM model_version lv
      WHERE lv.model_id = m.id AND lv.deleted_at IS NULL ORDER BY lv.version DESC LIMIT 1)
  ) n LEFT JOIN quarantine nq ON nq.program_digest = n.program_digest`;

/**
 * All that must be served, in one statement: the followed versions, and of the versions `$2` those that still exist.
 * `$1`: version ids whose example is known; `$3`: whether the words are wanted too (they cost more and are read less often).
 */
export const DESIRED = {
  name: 'slipway-serving-desired',
  text: `
    SELECT m.id AS model_id, m.workspace, m.name AS model, d.generation, d.wanted, ${TARGET},
           ${exampleUnless('v.id = ANY($1::uuid[])')},
           CASE WHEN $3::boolean THEN (${WORDS}) END AS words
      FROM deployment d
      JOIN registered_model m ON m.id = d.model_id AND m.deleted_at IS NULL
      JOIN model_version v ON v.model_id = d.model_id AND v.version = d.version AND v.deleted_at IS NULL
      LEFT JOIN quarantine q ON q.program_digest = v.program_digest
      WHERE d.variant = 'primary'
    UNION ALL
    SELECT m.id, m.workspace, m.name, NULL, NULL, ${TARGET}, NULL, NULL
      FROM model_version v
      JOIN registered_model m ON m.id = v.model_id AND m.deleted_at IS NULL
      LEFT JOIN quarantine q ON q.program_digest = v.program_digest
      WHERE v.id = ANY($2::uuid[]) AND v.deleted_at IS NULL AND v.serving_state = 'servable'`,
};

const SELECTED = {
  number: `v.version = $3::integer`,
  alias: `v.version = (SELECT a.version FROM model_alias a WHERE a.model_id = m.id AND a.alias = $3::text)`,
  stage: `v.stage = $3::text ORDER BY v.stage_entered DESC, v.version DESC LIMIT 1`,
  latest: `$3::text IS NULL ORDER BY v.version DESC LIMIT 1`,
  followed: `v.version = d.version AND $3::text IS NULL`,
};

/** Looks up one version: `$1` workspace, `$2` model name, `$3` the word's own value. One row where the model exists. */
export function resolveQuery(
  model: string,
  word: VersionWord | undefined,
): { name: string; text: string; values: unknown[] } {
  const kind = word?.kind ?? 'followed';
  const value =
    word && (word.kind === 'number' ? word.number : word.kind === 'alias' ? word.alias : null);
  return {
    name: `slipway-serving-resolve-${kind}`,
    text: `
      SELECT m.id AS model_id, m.workspace, m.name AS model, m.last_version, m.follow, d.version AS followed,
             v.id AS version_id, v.version, v.program_digest, v.serving_state, v.serving_reason, v.example, q.reason AS quarantine
        FROM registered_model m
        LEFT JOIN deployment d ON d.model_id = m.id AND d.variant = 'primary'
        LEFT JOIN LATERAL (
          SELECT v.*, ${exampleUnless('false')} FROM model_version v
            WHERE v.model_id = m.id AND v.deleted_at IS NULL AND ${SELECTED[kind]}
        ) v ON true
        LEFT JOIN quarantine q ON q.program_digest = v.program_digest
        WHERE m.workspace = $1 AND m.name = $2 AND m.deleted_at IS NULL`,
    values: ['default', model, word?.kind === 'stage' ? word.stage : (value ?? null)],
  };
}

interface TargetRow {
  version_id: string;
  version: number;
  program_digest: string | null;
  quarantine: string | null;
  /** As text: 64-bit integers would lose digits as JSON. */
  example: string | null;
}

export interface DesiredRow extends TargetRow {
  model_id: string;
  workspace: string;
  model: string;
  /** bigint, as text; null in rows of watched versions. */
  generation: string | null;
  wanted: number | null;
  words: WordRow[] | null;
}

type WordRow = [
  word: string,
  version: number,
  versionId: string,
  program: string | null,
  quarantine: string | null,
];

export interface ResolveRow extends Omit<TargetRow, 'version_id' | 'version'> {
  model_id: string;
  workspace: string;
  model: string;
  last_version: number;
  follow: string;
  followed: number | null;
  version_id: string | null;
  version: number | null;
  serving_state: string | null;
  serving_reason: string | null;
}

export function targetOf(row: TargetRow, example: string | null): VersionTarget {
  return {
    versionId: row.version_id,
    version: row.version,
    program: row.program_digest,
    example,
    quarantine: row.quarantine,
  };
}

export function wordsOf(rows: WordRow[] | null): Record<string, VersionTarget> {
  const words: Record<string, VersionTarget> = {};
  for (const [word, version, versionId, program, quarantine] of rows ?? []) {
    words[word] = { versionId, version, program, example: null, quarantine };
  }
  return words;
}

export function resolutionOf(row: ResolveRow, word: string | undefined): Resolution {
  const { model_id: modelId, workspace, model, version, version_id: versionId } = row;
  const name = JSON.stringify(model);
  if (word === undefined) {
    if (row.followed === null) throw followsNothing(model, row.follow, row.last_version);
    return { modelId, workspace, model, target: null };
  }
  if (versionId === null || version === null) {
    const newest = row.last_version
      ? `Its newest number is ${row.last_version}.`
      : 'It has no version yet.';
    throw DomainError.notFound(`Version ${word} of model ${name}`, newest);
  }
  if (row.serving_state === 'pending') {
    throw new DomainError(
      'UNAVAILABLE',
      `Version ${version} of model ${name} is still being checked. Try again.`,
      {
        retryAfter: 1,
      },
    );
  }
  if (row.serving_state !== 'servable' || !row.program_digest) {
    throw new DomainError(
      'FAILED_PRECONDITION',
      `Version ${version} of model ${name} is not servable: ${row.serving_reason ?? row.serving_state ?? 'no reason is known'}`,
    );
  }
  return {
    modelId,
    workspace,
    model,
    target: targetOf({ ...row, version, version_id: versionId }, row.example),
  };
}

/** A model that has no version to answer with, said so that the reader knows what to do. */
function followsNothing(model: string, follow: string, lastVersion: number): DomainError {
  const what =
    follow === 'production'
      ? 'no version of it is in Production'
      : `its alias ${follow} names no version`;
  const next = lastVersion
    ? `Promote one, or ask for one by number: /v2/models/${encodeURIComponent(model)}/versions/${lastVersion}.`
    : 'It has no version yet.';
  return new DomainError(
    'NOT_FOUND',
    `Model ${JSON.stringify(model)} follows nothing: ${what}. ${next}`,
  );
}
