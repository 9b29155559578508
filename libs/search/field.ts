import { nearest } from '#platform';

/** What a column holds, and so how a filter compares it and how a cursor writes it. */
export type ColumnKind =
  | 'string'
  /** integer, bigint, double precision, numeric; not real, whose text is not its value as float64 */
  | 'number'
  /** timestamptz; filters give epoch milliseconds (MLflow) or RFC 3339 */
  | 'time'
  | 'uuid';

/** A jsonb object by what its values are: `tags` and `params` strings, `metrics` numbers or "NaN", "Infinity", "-Infinity". */
export type MapKind = 'tags' | 'params' | 'metrics';

export interface ColumnSpec {
  kind: ColumnKind;
  /** SQL expression, written by us: `m.name`, `m.name COLLATE "C"`. */
  sql: string;
  /** Says that no row has NULL here; lets an index serve the order. */
  notNull?: boolean;
}

export interface MapSpec {
  kind: MapKind;
  /** SQL expression of the jsonb object: `v.tags`. */
  sql: string;
  /** Values that rows without the key are taken to have in comparisons; without one such rows match nothing but IS NULL. */
  absent?: Readonly<Record<string, string>>;
}

export type FieldSpec = ColumnSpec | MapSpec;

/** What a list can be filtered and ordered by: names as clients write them. Two names may have the same column. */
export type FieldTable = Readonly<Record<string, FieldSpec>>;

/** A field that somebody named: the name as the table has it, and the key inside a map. */
export interface FieldReference {
  field: string;
  key?: string;
}

export function isMap(spec: FieldSpec): spec is MapSpec {
  return spec.kind === 'tags' || spec.kind === 'params' || spec.kind === 'metrics';
}

/** The spec of a reference that `resolveField` made from the same table. */
export function specOf(fields: FieldTable, { field }: FieldReference): FieldSpec {
  const spec = Object.hasOwn(fields, field) ? fields[field] : undefined;
  if (spec === undefined) throw new Error(`the table of fields has no ${field}`);
  return spec;
}

/** Prefixes of MLflow (mlflow/utils/search_utils.py) for the maps and for plain fields. */
const MAP_PREFIXES = new Map<string, MapKind>([
  ['tag', 'tags'],
  ['tags', 'tags'],
  ['param', 'params'],
  ['params', 'params'],
  ['parameter', 'params'],
  ['parameters', 'params'],
  ['metric', 'metrics'],
  ['metrics', 'metrics'],
]);
const PLAIN_PREFIXES = new Set(['attribute', 'attributes', 'attr', 'run']);

/** The field that a dotted path names, or a sentence that says why there is none. */
export function resolveField(
  parts: readonly string[],
  fields: FieldTable,
): FieldReference | string {
  const [first = '', ...rest] = parts;
  const map = MAP_PREFIXES.get(first);
  const field = map && Object.keys(fields).find((name) => fields[name]?.kind === map);
  if (field !== undefined) {
    const key = rest.join('.');
    return key === '' ? `${first} needs a key, such as ${first}.team` : { field, key };
  }
  const names = PLAIN_PREFIXES.has(first) && rest.length > 0 ? [rest, parts] : [parts];
  for (const name of names.map((path) => path.join('.'))) {
    const spec = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (spec !== undefined && !isMap(spec)) return { field: name };
  }
  return unknownField((names[0] ?? parts).join('.'), fields);
}

function unknownField(name: string, fields: FieldTable): string {
  const known = Object.entries(fields).map(([field, spec]) =>
    isMap(spec) ? `${spec.kind}.<key>` : field,
  );
  const plain = Object.keys(fields).filter((field) => !isMap(specOf(fields, { field })));
  const guess = name.length > 100 ? undefined : nearest(name, plain);
  const shown = JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name);
  const hint = guess === undefined ? '' : ` Did you mean ${guess}?`;
  return `${shown} is not a field here.${hint} Known fields: ${known.join(', ')}`;
}
