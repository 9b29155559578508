import type pg from 'pg';
import { Gauge, type Registry } from 'prom-client';

/** Tells Prometheus how the connections of pools are used; `pools` by the name that the label `pool` gets. */
export function addPoolMetrics(registry: Registry, pools: Record<string, pg.Pool>): void {
  const add = (
    name: string,
    help: string,
    states: Record<string, (pool: pg.Pool) => number> | ((pool: pg.Pool) => number),
  ) => {
    const several = typeof states !== 'function';
    new Gauge({
      name: `slipway_database_pool_${name}`,
      help,
      labelNames: several ? ['pool', 'state'] : ['pool'],
      registers: [registry],
      collect() {
        for (const [pool, of] of Object.entries(pools)) {
          if (!several) this.set({ pool }, states(of));
          else
            for (const [state, read] of Object.entries(states)) this.set({ pool, state }, read(of));
        }
      },
    });
  };
  add('connections', 'Open connections to PostgreSQL', {
    idle: (pool) => pool.idleCount,
    busy: (pool) => pool.totalCount - pool.idleCount,
  });
  add('connections_max', 'Most connections that the pool opens', (pool) => pool.options.max);
  add('waiting', 'Queries that wait for a connection', (pool) => pool.waitingCount);
}
