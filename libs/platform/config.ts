import { availableParallelism, totalmem } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { nearest } from './nearest.js';
import { rememberSecrets, withoutCredentials } from './secrets.js';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export const logFormats = ['json', 'text'] as const;

/** Every setting of the server. The name of a property is the name of its environment variable. */
export class Config {
  /** Address that both ports bind to; anything but loopback demands `SLIPWAY_TOKEN`. */
  HOST: string;
  /** Port of the registry: REST v1, MLflow API, `/docs`, web pages. 0 takes any free port. */
  PORT: number;
  /** Port of predictions. 0 takes any free port. */
  SERVING_PORT: number;
  /** Where clients reach predictions, told by `GET /api/v1/server`; without a slash at its end. */
  SERVING_URL: string;
  /** Serving processes behind `SERVING_PORT`. */
  SERVING_PROCESSES: number;
  /** Bytes that resident models may take over all serving processes. */
  SERVING_MEMORY: number;
  /** Absolute path of the folder with the embedded PostgreSQL, the folder store and caches. */
  DATA_DIR: string;
  /** An external PostgreSQL ≥ 14; empty: the embedded one. */
  DATABASE_URL: string;
  /** Where blobs live: `file://…` or `s3://bucket/prefix`; see {@link artifactStore}. */
  ARTIFACT_STORE: string;
  /** URL of the S3 service. */
  S3_ENDPOINT: string;
  /** Region of the bucket. */
  S3_REGION: string;
  /** Access key of the bucket. */
  S3_ACCESS_KEY: string;
  /** Secret key of the bucket. */
  S3_SECRET_KEY: string;
  /** Least severe level that is logged. */
  LOG_LEVEL: (typeof logLevels)[number];
  /** How lines are written: `json`, or `text` for people, which is the default on a terminal. */
  LOG_FORMAT: (typeof logFormats)[number];
  /** Most bytes of a JSON body. */
  MAX_BODY: number;
  /** Most rows of a prediction. */
  MAX_ROWS: number;
  /** Milliseconds that a prediction may take. */
  PREDICT_TIMEOUT: number;
  /** Days in which every stored blob is read and compared with its digest once; 0: never. */
  SCRUB_DAYS: number;
  /** Stores once what blobs have in common. */
  SHARE_BLOBS: boolean;
  /** Token that every request must carry, health and metrics excepted; empty: none is asked for. */
  SLIPWAY_TOKEN: string;
  /** Allows an address other than loopback without a token. */
  SLIPWAY_INSECURE: boolean;
  /** Adds `POST /__test__/reset`; on loopback only. */
  SLIPWAY_TEST_HOOKS: boolean;

  /** True where only this machine can reach the ports. */
  get loopback(): boolean {
    return isLoopback(this.HOST);
  }

  /** `ARTIFACT_STORE`, taken apart. The prefix of a bucket has no slash at either end. */
  get artifactStore():
    { kind: 'folder'; path: string } | { kind: 's3'; bucket: string; prefix: string } {
    const s3 = S3_STORE.exec(this.ARTIFACT_STORE);
    if (s3) return { kind: 's3', bucket: s3[1] ?? '', prefix: (s3[2] ?? '').replace(/\/+$/, '') };
    return { kind: 'folder', path: folderOf(this.ARTIFACT_STORE) };
  }
}

/** Thrown with all faults of the configuration, one a line; the process ends with exit code 78. */
export class ConfigError extends Error {
  constructor(readonly faults: string[]) {
    super(`Wrong configuration:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

/**
 * Reads the settings from environment variables; an empty variable counts as absent.
 * @throws ConfigError that lists every fault
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  rememberSecrets(env);
  const faults: string[] = [];
  const config = new Config();
  const read = <K extends Setting>(name: K, form: Form<Config[K]>) => {
    const text = env[name]?.trim();
    try {
      config[name] = text ? form.read(text) : form.absent(config);
    } catch (error) {
      config[name] = form.absent(config);
      const expected = error instanceof Error ? error.message : String(error);
      faults.push(`${name}=${shown(name, text)}: ${expected}`);
    }
  };
  for (const name of settingNames) read(name, forms[name]);
  checkTogether(config, faults);
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}

/** A line for each `SLIPWAY_*` variable that nothing reads: a typing error, or what Kubernetes injects. */
export function configWarnings(env: NodeJS.ProcessEnv = process.env): string[] {
  const known = [...settingNames, 'SLIPWAY_URL', 'SLIPWAY_FIXTURES'];
  return Object.keys(env)
    .filter((name) => name.startsWith('SLIPWAY_') && !known.includes(name))
    .map(
      (name) => `${name} is not a setting of Slipway; the nearest one is ${nearest(name, known)}`,
    );
}

/** True for `localhost` and the addresses that never leave the machine. */
export function isLoopback(host: string): boolean {
  const address = host.replace(/^\[|\]$/g, '').toLowerCase();
  return (
    address === 'localhost' || address === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(address)
  );
}

type Setting = Exclude<keyof Config, 'loopback' | 'artifactStore'>;

interface Form<T> {
  /** Throws with what was expected. */
  read(text: string): T;
  /** The default; sees the settings that stand before it. */
  absent(config: Config): T;
}

const S3_STORE = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/;
const UNITS: Record<string, number> = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 };
const BINARY_UNITS: Record<string, number> = {
  k: 2 ** 10,
  kib: 2 ** 10,
  m: 2 ** 20,
  mib: 2 ** 20,
  g: 2 ** 30,
  gib: 2 ** 30,
  t: 2 ** 40,
  tib: 2 ** 40,
};

/** One line a setting: the compiler demands an entry for each property of {@link Config}. */
const forms: { [K in Setting]: Form<Config[K]> } = {
  HOST: { read: hostName, absent: () => '127.0.0.1' },
  PORT: whole(0, 65_535, () => 5000),
  SERVING_PORT: whole(0, 65_535, () => 8080),
  SERVING_URL: { read: webUrl, absent: (c) => `http://${urlHost(c.HOST)}:${c.SERVING_PORT}` },
  SERVING_PROCESSES: whole(1, 256, () => Math.max(1, availableParallelism() - 1)),
  SERVING_MEMORY: { read: memorySize, absent: () => Math.floor(memory() / 2) },
  DATA_DIR: { read: (text) => resolve(text), absent: () => resolve('.slipway') },
  DATABASE_URL: { read: databaseUrl, absent: () => '' },
  ARTIFACT_STORE: {
    read: storeUrl,
    absent: (c) => pathToFileURL(join(c.DATA_DIR, 'artifacts')).href,
  },
  S3_ENDPOINT: { read: webUrl, absent: () => 'https://s3.amazonaws.com' },
  S3_REGION: words(() => 'us-east-1'),
  S3_ACCESS_KEY: words(() => ''),
  S3_SECRET_KEY: words(() => ''),
  LOG_LEVEL: { read: oneOf(logLevels), absent: () => 'info' },
  LOG_FORMAT: { read: oneOf(logFormats), absent: () => (process.stderr.isTTY ? 'text' : 'json') },
  MAX_BODY: { read: bodySize, absent: () => 64 * 2 ** 20 },
  MAX_ROWS: whole(1, 100_000_000, () => 100_000),
  PREDICT_TIMEOUT: { read: duration, absent: () => 30_000 },
  SCRUB_DAYS: whole(0, 3650, () => 30),
  SHARE_BLOBS: { read: flag, absent: () => true },
  SLIPWAY_TOKEN: { read: token, absent: () => '' },
  SLIPWAY_INSECURE: { read: flag, absent: () => false },
  SLIPWAY_TEST_HOOKS: { read: flag, absent: () => false },
};
const settingNames = Object.keys(forms) as Setting[];

function checkTogether(config: Config, faults: string[]): void {
  if (!config.loopback && !config.SLIPWAY_TOKEN && !config.SLIPWAY_INSECURE) {
    faults.push(
      `HOST=${config.HOST}: others can reach this address, so SLIPWAY_TOKEN must be set ` +
        '(or SLIPWAY_INSECURE=1, if everybody who can reach it may change everything)',
    );
  }
  if (config.SLIPWAY_TEST_HOOKS && !config.loopback) {
    faults.push('SLIPWAY_TEST_HOOKS=1: allowed only where HOST is a loopback address');
  }
  if (config.PORT !== 0 && config.PORT === config.SERVING_PORT) {
    faults.push(`SERVING_PORT=${config.SERVING_PORT}: PORT is the same; they must differ`);
  }
  if (config.ARTIFACT_STORE.startsWith('s3:')) {
    for (const name of ['S3_ACCESS_KEY', 'S3_SECRET_KEY'] as const) {
      if (!config[name]) faults.push(`${name} is not set, but ARTIFACT_STORE is a bucket`);
    }
  }
}

/** Secrets are never repeated, in whichever message. */
function shown(name: Setting, text = ''): string {
  if (/TOKEN|SECRET|ACCESS_KEY/.test(name)) return '***';
  // Not a URL at all: it may be in the other form of PostgreSQL, `host=… password=…`.
  if (name === 'DATABASE_URL' && !text.includes('://')) return '***';
  return JSON.stringify(withoutCredentials(text));
}

function whole(least: number, most: number, absent: () => number): Form<number> {
  const read = (text: string) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw new Error(`expected a whole number from ${least} to ${most}`);
  };
  return { read, absent };
}

function words(absent: () => string): Form<string> {
  return { read: (text) => text, absent };
}

function hostName(text: string): string {
  const host = text.replace(/^\[(.*)\]$/, '$1');
  if (/^[\w.:%-]+$/.test(host)) return host;
  throw new Error('expected a host name or an address such as 127.0.0.1, ::1 or 0.0.0.0');
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function webUrl(text: string): string {
  if (URL.canParse(text)) {
    const url = new URL(text);
    if (/^https?:$/.test(url.protocol) && !url.username && !url.search && !url.hash) {
      return url.href.replace(/\/+$/, '');
    }
  }
  throw new Error('expected a URL such as https://serving.example.org');
}

function databaseUrl(text: string): string {
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new Error('expected a URL such as postgres://user:password@host:5432/database');
}

function storeUrl(text: string): string {
  if (S3_STORE.test(text)) return text;
  if (text.startsWith('file://')) return pathToFileURL(folderOf(text)).href;
  throw new Error('expected file:///a/folder or s3://bucket/prefix');
}

function folderOf(url: string): string {
  const path = url.slice('file://'.length);
  return isAbsolute(path) || /^\/[a-z]:/i.test(path) ? fileURLToPath(url) : resolve(path);
}

function oneOf<T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const word = words.find((known) => known === text.toLowerCase());
    if (word) return word;
    throw new Error(`expected one of ${words.join(', ')}`);
  };
}

function size(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,15}(?:\.\d{1,3})?)\s*([a-z]*)$/i.exec(text) ?? [];
  const factor = unit ? { ...UNITS, ...BINARY_UNITS }[unit.toLowerCase()] : 1;
  const bytes = factor ? Math.floor(Number(digits) * factor) : NaN;
  if (digits && bytes <= Number.MAX_SAFE_INTEGER) return bytes;
  throw new Error('expected a size such as 64MiB, 2GB or 67108864');
}

function bodySize(text: string): number {
  const bytes = size(text);
  // Above half a gibibyte the text of a body would not fit into one JavaScript string.
  if (bytes >= 1024 && bytes <= 512 * 2 ** 20) return bytes;
  throw new Error('expected a size from 1KiB to 512MiB');
}

function memorySize(text: string): number {
  const percent = /^(\d{1,3}(?:\.\d+)?)\s*%$/.exec(text)?.[1];
  if (percent && Number(percent) > 0 && Number(percent) <= 100) {
    return Math.floor((memory() * Number(percent)) / 100);
  }
  const bytes = percent ? 0 : size(text);
  if (bytes >= 2 ** 20) return bytes;
  throw new Error(
    'expected a size of at least 1MiB, such as 2GiB, or a share of memory such as 50%',
  );
}

/** Bytes of memory that this process may use: the machine's, or its container's. */
function memory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

function duration(text: string): number {
  const [, digits = '', unit = 's'] = /^(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|m|min)?$/i.exec(text) ?? [];
  const factor = { ms: 1, s: 1000, m: 60_000, min: 60_000 }[unit.toLowerCase()] ?? NaN;
  const milliseconds = Math.round(Number(digits) * factor);
  if (digits && milliseconds >= 1 && milliseconds <= 3_600_000) return milliseconds;
  throw new Error('expected a time up to an hour, such as 30s, 1500ms, or 30 (seconds)');
}

function token(text: string): string {
  if (/^[\x21-\x7e]{1,4096}$/.test(text)) return text;
  throw new Error('expected printable ASCII characters without spaces');
}

function flag(text: string): boolean {
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw new Error('expected 1 or 0');
}
