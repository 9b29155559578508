import type { DataSource } from 'typeorm';
import { type Fields, listQuery, type Page, type TieBreaker } from '#search';

/** What a client says about a list. */
export interface ListOptions {
  filter?: string;
  order?: string;
  cursor?: string;
  limit?: number;
}

/** What a list is made of. The condition's values are its `$1` and on. */
export interface ListOf {
  table: string;
  select: string;
  where: string;
  values: unknown[];
  fields: Fields;
  defaultOrder: string;
  tie: readonly TieBreaker[];
}

/** One page of a list. @throws DomainError INVALID_ARGUMENT for a wrong filter, order, cursor or limit */
export async function listRows<Row extends object>(
  dataSource: DataSource,
  { where, values, ...list }: ListOf,
  options: ListOptions,
): Promise<Page<Row>> {
  const query = listQuery({ ...list, ...options, where: { sql: where, values } });
  return query.page(await dataSource.query<Row[]>(query.text, query.values));
}
