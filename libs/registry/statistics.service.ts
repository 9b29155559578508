import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { latencyBounds } from '#platform';

export interface MinuteStatistics {
  minute: string;
  version: number;
  requests: number;
  errors: number;
  /** Milliseconds; null where the minute has no request. */
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

/** Requests, errors and latency of a model's versions, from the counts that serving processes write each minute. */
@Injectable()
export class StatisticsService {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  async ofModel(modelId: string, from: Date, to: Date): Promise<MinuteStatistics[]> {
    const rows = await this.dataSource.query<
      { minute: Date; version: number; requests: number; errors: number; buckets: number[][] }[]
    >(
      `SELECT minute, version, sum(requests)::float8 AS requests, sum(errors)::float8 AS errors,
              json_agg(buckets) AS buckets
       FROM serving_minute WHERE model_id = $1 AND minute >= $2 AND minute < $3
       GROUP BY minute, version ORDER BY minute, version`,
      [modelId, from, to],
    );
    return rows.map(({ minute, buckets, ...row }) => {
      const counts = latencyBounds
        .concat(Infinity)
        .map((_, i) => buckets.reduce((sum, one) => sum + (one[i] ?? 0), 0));
      return {
        minute: minute.toISOString(),
        ...row,
        p50: quantile(counts, 0.5),
        p95: quantile(counts, 0.95),
        p99: quantile(counts, 0.99),
      };
    });
  }
}

/** The latency that a share of the requests did not exceed, by linear interpolation inside its bucket. */
export function quantile(counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let below = 0;
  for (const [i, count] of counts.entries()) {
    if (below + count >= share * total && count > 0) {
      const lower = latencyBounds[i - 1] ?? 0;
      const upper = latencyBounds[i] ?? latencyBounds.at(-1) ?? 0;
      return lower + ((upper - lower) * (share * total - below)) / count;
    }
    below += count;
  }
  return latencyBounds.at(-1) ?? null;
}
