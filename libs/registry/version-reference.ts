import { DomainError } from '#platform';
import { checkAlias } from './names.js';

/** Of PostgreSQL's integer; the counter of a model never comes so far. */
const maxVersion = 2 ** 31 - 1;

/** How a version is named wherever `{version}` stands: `3`, `@champion`, `production`, `staging` or `latest`. */
export type VersionReference =
  | { kind: 'number'; version: number }
  | { kind: 'alias'; alias: string }
  | { kind: 'production' | 'staging' | 'latest' };

/**
 * Reads a version reference.
 * @param pointer where it stands in the body; empty where it stands in the path
 * @throws DomainError INVALID_ARGUMENT when it is none of the forms above
 */
export function parseVersionReference(text: string, pointer = ''): VersionReference {
  // A number beyond what any version can have is as good as the largest: there is no such version.
  if (/^[1-9]\d*$/.test(text))
    return { kind: 'number', version: Math.min(Number(text), maxVersion) };
  if (text.startsWith('@')) return { kind: 'alias', alias: checkAlias(text.slice(1), pointer) };
  if (text === 'production' || text === 'staging' || text === 'latest') return { kind: text };
  throw DomainError.invalid(
    pointer,
    `${JSON.stringify(text.slice(0, 300))} does not name a version. Write a number (3), an alias (@champion), "production", "staging" or "latest".`,
  );
}

/**
 * The condition on `model_version v` that a reference stands for, and what it adds to the values.
 * @param model the id of the model in SQL
 * @param at the parameter for the value, where there is one
 */
export function referenceSql(
  reference: VersionReference,
  model = '$1',
  at = '$2',
): { where: string; values: unknown[] } {
  switch (reference.kind) {
    case 'number':
      return { where: `v.version = ${at}`, values: [reference.version] };
    case 'alias':
      return {
        where: `v.version = (SELECT a.version FROM model_alias a WHERE a.model_id = ${model} AND a.alias = ${at})`,
        values: [reference.alias],
      };
    case 'production':
    case 'staging':
      return {
        where: `v.version = (SELECT s.version FROM model_version s WHERE s.model_id = ${model} AND s.stage = ${at}
                 AND s.deleted_at IS NULL ORDER BY s.stage_entered DESC LIMIT 1)`,
        values: [reference.kind === 'production' ? 'Production' : 'Staging'],
      };
    case 'latest':
      return {
        where: `v.version = (SELECT max(l.version) FROM model_version l WHERE l.model_id = ${model} AND l.deleted_at IS NULL)`,
        values: [],
      };
  }
}

/** How a reference is told to people: `version 3`, `alias "champion"`. */
export function describeReference(reference: VersionReference): string {
  switch (reference.kind) {
    case 'number':
      return `version ${reference.version}`;
    case 'alias':
      return `a version with the alias "${reference.alias}"`;
    case 'latest':
      return 'any version';
    case 'production':
    case 'staging':
      return `a version in ${reference.kind === 'production' ? 'Production' : 'Staging'}`;
  }
}
