import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { totalmem } from 'node:os';
import { pipeline } from 'node:stream/promises';
import {
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import { inTransaction } from '#database';
import { BlobService, dereferenceBlobs } from '#artifacts';
import { compile, type CompileResult, importerOf, importers } from '#formats';
import { Config, Logger, Metrics, systemContext, toDomainError, channels } from '#platform';
import { Histogram } from 'prom-client';
import {
  postponeTask,
  renewEvery,
  renewTask,
  takeTask,
  type CompileTask,
} from './compile-queue.js';
import { updateDeployment } from './deployments.js';
import { recordEvent } from './events.js';
import { scanNewFiles } from './file-scans.js';
import type { InputExample } from './version-view.js';
import { Notifications } from './notifications.js';

interface VersionToCompile {
  id: string;
  modelId: string;
  model: string;
  version: number;
  format: string | null;
  signature: unknown;
  inputExample: InputExample | null;
  manifestDigest: string | null;
  files: { path: string; digest: string; size: number }[] | null;
}

/** What the compile step found, with the Program as blobs. */
interface Verdict {
  state: 'servable' | 'unsupported' | 'failed';
  reason: string | null;
  format: string | null;
  importer: string | null;
  signature: unknown;
  signatures: unknown;
  difference: unknown;
  /** Digests of `program.json` and of its weights; null where there is no Program. */
  program: { digest: string; weights: string } | null;
  /** The compile process that ended without a verdict. */
  lostProcess?: number | undefined;
}

/** Far more than a server that is killed again and again needs: only a version that kills the server gets there. */
const maxAttempts = 20;
const pollEvery = 2000;
const verdictTimeout = 90_000;
/** A step that has taken so long (ms) lets another begin beside it: one may be a minute's endless loop, and most take a second. */
const slowAfter = 2000;
/** Steps at a time; each may take 2 GiB for its minute. */
const maxSteps = Math.min(8, Math.max(2, Math.floor(totalmem() / 2 ** 32)));
/** Longer than a compile step takes, with its limit of 60 s. */
const leftoverAge = 10 * 60_000;

/**
 * Compiles versions, one at a time in this process and others beside such as take long: takes a job by its lease, brings the
 * files to disk, compiles them in a child process with limits, keeps the Program as blobs and writes the verdict. A server that dies in between leaves
 * the job to whoever takes it next; after many deaths the version is marked failed.
 */
@Injectable()
export class CompileService implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly durations: Histogram<'format' | 'outcome'>;
  private readonly owner = randomUUID();
  private running: Promise<void> | undefined;
  private readonly stopping = new AbortController();
  private wake: () => void = () => undefined;

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly blobs: BlobService,
    private readonly notifications: Notifications,
    private readonly config: Config,
    private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.durations = new Histogram({
      name: 'slipway_registry_compile_duration_seconds',
      help: 'Time of a compile job, from the fetching of its files to its verdict',
      labelNames: ['format', 'outcome'],
      buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60],
      registers: [metrics.registry],
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.removeLeftovers();
    this.notifications.on(channels.compile, () => this.wake());
    this.running = this.work();
  }

  async onApplicationShutdown(): Promise<void> {
    // A task that runs is given back: whoever starts next takes it up.
    this.stopping.abort();
    this.wake();
    await this.running;
  }

  /** Compiles a version again, as after an upgrade. `trace`: the request that asks for it. */
  async checkAgain(versionId: string, trace: string | null): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      await manager.query(
        `INSERT INTO compile_job (version_id, force, trace) VALUES ($1, true, $2)
         ON CONFLICT (version_id) DO UPDATE SET force = true, attempts = 0, run_after = now(), trace = $2`,
        [versionId, trace],
      );
      await manager.query(`NOTIFY ${channels.compile}`);
    });
  }

  /** Waits, holding nothing, until a version is no longer pending; the caller looks at what it became. */
  async awaitVerdict(versionId: string): Promise<void> {
    const end = Date.now() + verdictTimeout;
    for (let pause = 20; Date.now() < end; pause = Math.min(pause * 1.5, 500)) {
      const [row] = await this.dataSource.query<{ state: string }[]>(
        `SELECT serving_state AS state FROM model_version WHERE id = $1`,
        [versionId],
      );
      if (row?.state !== 'pending') return;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  private async work(): Promise<void> {
    const steps = new Set<Promise<void>>();
    while (!this.stopping.signal.aborted) {
      if (steps.size >= maxSteps) await Promise.race(steps);
      const task = await takeTask(this.dataSource, this.owner).catch(() => undefined);
      if (!task) {
        await this.idle();
        continue;
      }
      const step = this.process(task).finally(() => steps.delete(step));
      steps.add(step);
      await endOrSlow(step);
    }
    await Promise.all(steps);
  }

  private idle(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pollEvery);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.stopping.signal.aborted) this.wake();
    });
  }

  private async process(task: CompileTask): Promise<void> {
    const { versionId, trace } = task;
    const begun = performance.now();
    let version: VersionToCompile | undefined;
    const renewal = setInterval(() => {
      renewTask(this.dataSource, versionId, this.owner).catch(() => undefined);
    }, renewEvery);
    try {
      version = await this.versionOf(versionId);
      if (!version) return;
      const verdict = await this.verdictOn(version, task);
      await this.keep(version, task, verdict);
      this.tell(version, task, verdict, performance.now() - begun);
    } catch (error) {
      const stopped = this.stopping.signal.aborted;
      const { code } = toDomainError(error) ?? {};
      if (code === 'BLOB_MISSING') await this.checkAgain(versionId, trace).catch(() => undefined);
      else if (code !== 'UNAVAILABLE' && !stopped)
        this.logger.error({ trace, err: error }, 'a compile job failed; it is tried again');
      if (version && !stopped) {
        const labels = { format: formatLabel(version.format), outcome: 'postponed' };
        this.durations.observe(labels, (performance.now() - begun) / 1000);
      }
      await postponeTask(this.dataSource, versionId, stopped ? 0 : 5).catch(() => undefined);
    } finally {
      clearInterval(renewal);
    }
  }

  private tell(
    { model, version }: VersionToCompile,
    { trace }: CompileTask,
    { state, reason, format, lostProcess }: Verdict,
    ms: number,
  ): void {
    this.durations.observe({ format: formatLabel(format), outcome: state }, ms / 1000);
    const fields = { trace, model, version, state, format, ms: Math.round(ms) };
    if (lostProcess === undefined) {
      this.logger.info({ ...fields, ...(reason && { reason }) }, 'compiled a version');
      return;
    }
    const child = { child: 'compile', childPid: lostProcess };
    this.logger.warn({ ...fields, ...child, reason }, 'a version ended its compile process');
  }

  private async verdictOn(version: VersionToCompile, task: CompileTask): Promise<Verdict> {
    if (!version.files) return refused('unsupported', 'Its files are not held here.');
    if (task.attempts > maxAttempts) {
      return refused(
        'failed',
        `Compiling it ended the server's compile step ${maxAttempts} times.`,
      );
    }
    const cached = task.force ? undefined : await this.cached(version);
    return cached ?? this.compile(version);
  }

  /** The Program that the present importer made of the same files before, where no golden rows are to be checked. */
  private async cached(version: VersionToCompile): Promise<Verdict | undefined> {
    if (version.inputExample || version.signature) return undefined;
    const [row] = await this.dataSource.query<
      (Omit<Verdict, 'difference' | 'format'> & { importer: string })[]
    >(
      `SELECT state, reason, importer, signature, signatures,
              json_build_object('digest', program_digest, 'weights', weights_digest) AS program FROM compiled_program
       WHERE manifest_digest = $1 AND state = 'servable' AND importer = ANY($2)`,
      [version.manifestDigest, importerOf(version.format)],
    );
    return row
      ? { ...row, format: row.importer.split('@')[0] ?? null, difference: null }
      : undefined;
  }

  private async compile(version: VersionToCompile): Promise<Verdict> {
    await mkdir(this.temporary, { recursive: true });
    const folder = await mkdtemp(join(this.temporary, 'compile-'));
    try {
      const files = await this.fetchFiles(version, folder);
      const [result] = await Promise.all([
        compile({
          files,
          format: version.format,
          signature: version.signature,
          inputExample: version.inputExample,
          outputFolder: join(folder, 'program'),
          stop: this.stopping.signal,
        }),
        this.scan(version, files),
      ]);
      const program = result.state === 'servable' ? await this.store(version, result) : null;
      return {
        state: result.state,
        reason: result.reason ?? null,
        format: result.format,
        importer: result.importer,
        signature: result.signature ?? null,
        signatures: result.signatures ?? null,
        difference: result.difference ?? null,
        program,
        lostProcess: result.lostProcess,
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Says of every file what loading it in Python would bring in; a fault of the scan is no fault of the version. */
  private async scan(
    { model, version, files: entries }: VersionToCompile,
    files: { path: string; file: string }[],
  ): Promise<void> {
    const digests = new Map(entries?.map(({ path, digest }) => [path, digest]));
    const toScan = files.flatMap(({ path, file }) => {
      const digest = digests.get(path);
      return digest === undefined ? [] : [{ path, file, digest }];
    });
    try {
      await scanNewFiles(this.dataSource, toScan, this.stopping.signal);
    } catch (error) {
      if (!this.stopping.signal.aborted)
        this.logger.error(
          { model, version, err: error },
          'the files of a version were not scanned',
        );
    }
  }

  private get temporary(): string {
    return join(this.config.DATA_DIR, 'tmp');
  }

  /** Folders of compile steps that a killed server has left; younger ones may be in use. */
  private async removeLeftovers(): Promise<void> {
    const names = await readdir(this.temporary).catch(() => []);
    for (const name of names.filter((found) => found.startsWith('compile-'))) {
      const folder = join(this.temporary, name);
      const found = await stat(folder).catch(() => undefined);
      if (found && Date.now() - found.mtimeMs > leftoverAge)
        await rm(folder, { recursive: true, force: true });
    }
  }

  /** Files lie in the folder under their number: a client's path never names anything on disk. */
  private async fetchFiles(
    version: VersionToCompile,
    folder: string,
  ): Promise<{ path: string; file: string }[]> {
    const files: { path: string; file: string }[] = [];
    for (const [i, { path, digest }] of (version.files ?? []).entries()) {
      const file = join(folder, String(i));
      // Compared also where the store vouches: an importer must never see other bytes than those of the manifest.
      const content = await this.blobs.open(digest, {}, { compare: true });
      await pipeline(content, createWriteStream(file));
      files.push({ path, file });
    }
    return files;
  }

  /** Stores weights and program.json, which names weights and files by digest. */
  private async store(
    version: VersionToCompile,
    result: CompileResult,
  ): Promise<NonNullable<Verdict['program']>> {
    if (!result.programFolder) throw new Error('A servable result has no Program');
    const program = JSON.parse(
      await readFile(join(result.programFolder, 'program.json'), 'utf8'),
    ) as {
      weights: object;
      files?: { path: string }[];
    };
    const weights = await this.blobs.put(
      createReadStream(join(result.programFolder, 'weights.bin')),
    );
    const files = (program.files ?? []).map(({ path }) => {
      const uploaded = version.files?.find((f) => f.path === path);
      if (!uploaded)
        throw new Error(`The Program names ${path}, which is not a file of the version`);
      return { path, digest: uploaded.digest, size: uploaded.size };
    });
    const stored = await this.blobs.put(
      Buffer.from(JSON.stringify({ ...program, weights, files })),
    );
    await this.dataSource.query(
      `INSERT INTO compiled_program (manifest_digest, importer, state, signature, signatures, program_digest, weights_digest, files)
       VALUES ($1, $2, 'servable', $3, $4, $5, $6, $7)
       ON CONFLICT (manifest_digest, importer) DO UPDATE SET signature = excluded.signature, signatures = excluded.signatures,
         program_digest = excluded.program_digest, weights_digest = excluded.weights_digest, files = excluded.files`,
      [
        version.manifestDigest,
        result.importer,
        JSON.stringify(result.signature ?? null),
        result.signatures ? JSON.stringify(result.signatures) : null,
        stored.digest,
        weights.digest,
        JSON.stringify(files),
      ],
    );
    return { digest: stored.digest, weights: weights.digest };
  }

  /** Writes the verdict, ends the job, and lets serving know where it waited for this version. */
  private async keep(
    version: VersionToCompile,
    task: CompileTask,
    verdict: Verdict,
  ): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      await manager.query(`SELECT 1 FROM registered_model WHERE id = $1 FOR UPDATE`, [
        version.modelId,
      ]);
      const [deleted] = await manager.query<unknown[]>(
        `SELECT 1 FROM model_version WHERE id = $1 AND deleted_at IS NOT NULL`,
        [version.id],
      );
      await manager.query(`DELETE FROM compile_job WHERE version_id = $1`, [version.id]);
      if (deleted) return;
      await writeVerdict(manager, version.id, verdict);
      await this.keepProgram(manager, version.id, verdict.program);
      if (task.force && verdict.program) {
        await manager.query(`DELETE FROM quarantine WHERE program_digest = $1`, [
          verdict.program.digest,
        ]);
      }
      await updateDeployment(manager, version.modelId, { force: task.force });
      await recordEvent(manager, systemContext, {
        kind: 'version.compiled',
        modelId: version.modelId,
        model: version.model,
        version: version.version,
        data: { state: verdict.state, ...(verdict.reason ? { reason: verdict.reason } : {}) },
      });
    });
  }

  /** @throws DomainError BLOB_MISSING where a Program of an earlier compilation was collected meanwhile */
  private async keepProgram(
    manager: EntityManager,
    versionId: string,
    program: Verdict['program'],
  ): Promise<void> {
    await dereferenceBlobs(manager, { kind: 'program', owners: [versionId] });
    if (!program) return;
    const blobs = [{ digest: program.digest }, { digest: program.weights }];
    await this.blobs.reference(manager, { kind: 'program', owner: versionId, blobs });
  }

  private async versionOf(id: string): Promise<VersionToCompile | undefined> {
    const [row] = await this.dataSource.query<VersionToCompile[]>(
      `SELECT v.id, v.model_id AS "modelId", m.name AS model, v.version, v.format, v.signature,
         v.input_example AS "inputExample", v.manifest_digest AS "manifestDigest",
         (SELECT json_agg(json_build_object('path', f.path, 'digest', f.digest, 'size', f.size))
            FROM manifest_file f WHERE f.manifest_digest = v.manifest_digest) AS files
       FROM model_version v JOIN registered_model m ON m.id = v.model_id WHERE v.id = $1`,
      [id],
    );
    return row;
  }
}

const formats = new Set(importers.map(({ format }) => format));

/** A label must not have the words of uploaders as its values. */
function formatLabel(format: string | null): string {
  return format !== null && formats.has(format) ? format : 'unknown';
}

/** Resolves when the step has ended, or has taken so long that others need not wait for it. */
async function endOrSlow(step: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const slow = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, slowAfter);
  });
  await Promise.race([step, slow]);
  clearTimeout(timer);
}

function refused(state: 'unsupported' | 'failed', reason: string): Verdict {
  return {
    state,
    reason,
    format: null,
    importer: null,
    signature: null,
    signatures: null,
    difference: null,
    program: null,
  };
}

async function writeVerdict(
  manager: EntityManager,
  versionId: string,
  verdict: Verdict,
): Promise<void> {
  await manager.query(
    `UPDATE model_version SET serving_state = $2, serving_reason = $3, serving_difference = $4, importer = $5,
       checked_at = now(), program_digest = $6, format = coalesce(format, $7), signature = coalesce(signature, $8),
       signatures = $9,
       revision = revision + 1, updated_at = now() WHERE id = $1`,
    [
      versionId,
      verdict.state,
      verdict.reason,
      verdict.difference === null ? null : JSON.stringify(verdict.difference),
      verdict.importer,
      verdict.program?.digest ?? null,
      verdict.format,
      verdict.signature === null ? null : JSON.stringify(verdict.signature),
      verdict.signatures === null ? null : JSON.stringify(verdict.signatures),
    ],
  );
}
