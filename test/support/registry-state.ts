import pg from 'pg';

/** The facts of a registry: kept and brought back, and told so that two states can be compared. */
export class RegistryState {
  private tables: string[] = [];

  private constructor(private readonly client: pg.Client) {}

  static async open(database: string): Promise<RegistryState> {
    const client = new pg.Client({ connectionString: database });
    client.on('error', () => {});
    await client.connect();
    // A state is brought back table by table.
    await client.query('SET session_replication_role = replica');
    const state = new RegistryState(client);
    const tables = await state.query<{ name: string }>(
      `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations' ORDER BY 1`,
    );
    state.tables = tables.map(({ name }) => name);
    return state;
  }

  async close(): Promise<void> {
    await this.client.end();
  }

  async query<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    return (await this.client.query<T>(text, values)).rows;
  }

  /** Keeps the present state for {@link restore}. */
  async keep(): Promise<void> {
    const copies = this.tables.map((table) => `CREATE TABLE kept.${table} AS TABLE ${table};`);
    await this.client.query(
      `DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept; ${copies.join('')}`,
    );
  }

  async restore(): Promise<void> {
    const backs = this.tables.map(
      (table) => `DELETE FROM ${table}; INSERT INTO ${table} TABLE kept.${table};`,
    );
    await this.client.query(`BEGIN; ${backs.join('')} COMMIT`);
  }

  /**
   * All rows, so that two runs which did the same give the same: times, tokens and generations are left out, and what has
   * a number or a UUID is called by its place in the order of its making.
   */
  async told(): Promise<Told> {
    const parts = this.tables.map(
      (table) => `'${table}', (SELECT coalesce(json_agg(to_json(t)), '[]') FROM ${table} t)`,
    );
    const [row] = await this.query<{ rows: Record<string, Row[]> }>(
      `SELECT json_build_object(${parts.join(', ')}) AS rows`,
    );
    const rows = row?.rows ?? {};
    const names = namesOf(rows);
    const told = Object.entries(rows).map(([table, all]): [string, string[]] => [
      table,
      all.map((each) => tell(each, names)).sort(),
    ]);
    return new Told(Object.fromEntries(told));
  }
}

/** Rows as texts that can be compared. */
export class Told {
  constructor(private readonly tables: Record<string, string[]>) {}

  /** @param left tables to leave out */
  text(left: string[] = []): string {
    const kept = Object.entries(this.tables).filter(([table]) => !left.includes(table));
    return kept.flatMap(([table, rows]) => rows.map((row) => `${table} ${row}`)).join('\n');
  }
}

type Row = Record<string, unknown>;

/** Checksums of a blob are made when somebody needs them, at the latest. */
const volatile =
  /_at$|^(at|kept_until|generation|transaction|run_after|lease_owner|lease_until|store_state|minute|trace|checksums)$/;
const uuid = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** What rows are called in place of their UUIDs and numbers. */
function namesOf(rows: Record<string, Row[]>): Map<string, string> {
  const names = new Map<string, string>();
  const byTime = (table: string) =>
    (rows[table] ?? []).sort((a, b) => (String(a.created_at) < String(b.created_at) ? -1 : 1));
  for (const [i, { id, name }] of byTime('registered_model').entries())
    names.set(String(id), `${String(name)}#${i}`);
  for (const { id, model_id: model, version } of rows.model_version ?? [])
    names.set(String(id), `${names.get(String(model))}/${String(version)}`);
  for (const { id, name, digest } of rows.dataset ?? [])
    names.set(String(id), `dataset ${String(name)} ${String(digest)}`);
  for (const [i, { id }] of byTime('upload').entries()) names.set(String(id), `upload#${i}`);
  const transitions = (rows.transition ?? []).sort((a, b) => Number(a.id) - Number(b.id));
  for (const [i, { id }] of transitions.entries()) names.set(`transition ${String(id)}`, `t${i}`);
  return names;
}

const ofTransitions = ['stage_entered', 'production_top', 'below'];

function tell(row: Row, names: Map<string, string>): string {
  const isTransition = 'from_value' in row;
  const isEvent = 'kind' in row && 'model' in row;
  const transition = (id: unknown) => names.get(`transition ${String(id)}`) ?? id;
  const entries = Object.entries(row).flatMap(([key, value]): [string, unknown][] => {
    if (key === 'deleted_at') return [[key, value !== null]];
    if (volatile.test(key)) return [];
    if (key === 'id') return isTransition ? [[key, transition(value)]] : [];
    if (ofTransitions.includes(key)) return [[key, transition(value)]];
    if (key === 'body' || key === 'headers' || key === 'request') return [];
    if (key === 'data' && isEvent) return [[key, dataOf(value as Row, transition)]];
    return [[key, value]];
  });
  return JSON.stringify(Object.fromEntries(entries)).replace(uuid, (id) => names.get(id) ?? id);
}

function dataOf({ at: _at, id, ...data }: Row, transition: (id: unknown) => unknown): Row {
  return id === undefined ? data : { ...data, id: transition(id) };
}
