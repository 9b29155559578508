import { describe, expect, it } from '@jest/globals';
import { ConfigError, configWarnings, isLoopback, readConfig } from './config.js';

function faultsOf(env: NodeJS.ProcessEnv): string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

/** For each setting that can be wrong, the ways in which it is. */
const wrongValues: [string, string[]][] = [
  ['HOST', ['a b', 'http://host', 'host/path', ',']],
  ['PORT', ['x', '-1', '65536', '5000.5', '0x10', '1e3', '５０００']],
  ['SERVING_PORT', ['x', '70000', '5000']],
  [
    'SERVING_URL',
    ['localhost', 'ftp://host', 'http://me:secret@host', 'http://host?x=y', '//host'],
  ],
  ['SERVING_PROCESSES', ['0', '257', 'all', '1.5']],
  ['SERVING_MEMORY', ['0%', '101%', 'half', '1 apple', '-1GB', '99999999TB']],
  [
    'DATABASE_URL',
    ['host', 'mysql://host/db', 'postgres//host', 'host=db password=secret', 'http://host'],
  ],
  [
    'ARTIFACT_STORE',
    ['ftp://x', '/a/folder', 's3://', 's3://UPPER', 's3://a', 's3://key:secret@bucket'],
  ],
  ['S3_ENDPOINT', ['s3.example.org', 'ftp://host', 'https://key:secret@host', 'https://host#x']],
  ['LOG_LEVEL', ['loud', '3', 'warning']],
  ['LOG_FORMAT', ['pretty', 'xml', '1']],
  ['MAX_BODY', ['64 apples', '-1', '1TB', '0x10']],
  ['MAX_ROWS', ['-1', '0', '1e5', '100000001']],
  ['PREDICT_TIMEOUT', ['2h', '0', '-1s', '1d', '61min', 'soon']],
  ['SCRUB_DAYS', ['-1', 'monthly', '1.5', '1e2']],
  ['SHARE_BLOBS', ['perhaps', '2']],
  ['SLIPWAY_TOKEN', ['has space', 'umlaut-ü', 'x'.repeat(4097)]],
  ['SLIPWAY_INSECURE', ['perhaps', '2', 'y']],
  ['SLIPWAY_TEST_HOOKS', ['perhaps', '-']],
];

describe('readConfig', () => {
  it('needs nothing', () => {
    const config = readConfig({});
    expect(config).toMatchObject({
      HOST: '127.0.0.1',
      PORT: 5000,
      SERVING_PORT: 8080,
      SERVING_URL: 'http://127.0.0.1:8080',
      DATABASE_URL: '',
      MAX_BODY: 64 * 2 ** 20,
      MAX_ROWS: 100_000,
      PREDICT_TIMEOUT: 30_000,
      LOG_LEVEL: 'info',
      SLIPWAY_TOKEN: '',
    });
    expect(config.DATA_DIR).toBe(`${process.cwd()}/.slipway`);
    expect(config.artifactStore).toEqual({
      kind: 'folder',
      path: `${process.cwd()}/.slipway/artifacts`,
    });
    expect(config.SERVING_PROCESSES).toBeGreaterThanOrEqual(1);
    expect(config.loopback).toBe(true);
  });

  it('reports all faults together', () => {
    const faults = faultsOf({
      PORT: 'x',
      SERVING_PORT: '70000',
      SERVING_URL: 'localhost',
      SERVING_PROCESSES: '0',
      SERVING_MEMORY: '0%',
      DATABASE_URL: 'mysql://me:secret@host/db',
      ARTIFACT_STORE: 'ftp://x',
      LOG_LEVEL: 'loud',
      LOG_FORMAT: 'pretty',
      MAX_BODY: '64 apples',
      MAX_ROWS: '-1',
      PREDICT_TIMEOUT: '2h',
      SLIPWAY_TOKEN: 'has space inside',
      SLIPWAY_INSECURE: 'perhaps',
    });
    expect(faults.map((fault) => fault.split('=')[0])).toEqual([
      'PORT',
      'SERVING_PORT',
      'SERVING_URL',
      'SERVING_PROCESSES',
      'SERVING_MEMORY',
      'DATABASE_URL',
      'ARTIFACT_STORE',
      'LOG_LEVEL',
      'LOG_FORMAT',
      'MAX_BODY',
      'MAX_ROWS',
      'PREDICT_TIMEOUT',
      'SLIPWAY_TOKEN',
      'SLIPWAY_INSECURE',
    ]);
    expect(faults.join()).not.toContain('secret');
    expect(faults.join()).not.toContain('has space');
  });

  it.each(wrongValues)('names %s and what was expected, once, where it is wrong', (name, wrong) => {
    for (const value of wrong) {
      const faults = faultsOf({ [name]: value });
      expect([value, faults.length, faults[0]]).toEqual([value, 1, expect.stringContaining(name)]);
      expect(faults[0]).toMatch(/: (expected |PORT is the same)/);
      expect(faults[0]).not.toContain('secret');
    }
  });

  it('has every setting in that table, or one that takes any text', () => {
    const any = ['DATA_DIR', 'S3_REGION', 'S3_ACCESS_KEY', 'S3_SECRET_KEY'];
    const tested = wrongValues.map(([name]) => name);
    expect([...tested, ...any].toSorted()).toEqual(Object.keys(readConfig({})).toSorted());
  });

  it('writes text on a terminal alone', () => {
    expect(readConfig({ LOG_FORMAT: 'TEXT' }).LOG_FORMAT).toBe('text');
    expect(readConfig({}).LOG_FORMAT).toBe(process.stderr.isTTY ? 'text' : 'json');
  });

  it.each([
    ['64MiB', 67_108_864],
    ['67108864', 67_108_864],
    ['1.5 MB', 1_500_000],
    ['2k', 2048],
  ])('reads the size %s', (text, bytes) => {
    expect(readConfig({ MAX_BODY: text }).MAX_BODY).toBe(bytes);
  });

  it.each([
    ['30s', 30_000],
    ['30000ms', 30_000],
    ['30', 30_000],
    ['0.5', 500],
    ['2min', 120_000],
  ])('reads the time %s', (text, milliseconds) => {
    expect(readConfig({ PREDICT_TIMEOUT: text }).PREDICT_TIMEOUT).toBe(milliseconds);
  });

  it('reads a share of memory', () => {
    const half = readConfig({}).SERVING_MEMORY;
    expect(Math.abs(readConfig({ SERVING_MEMORY: '25%' }).SERVING_MEMORY * 2 - half)).toBeLessThan(
      2,
    );
  });

  it.each([
    ['file:///var/lib/slip%20way', { kind: 'folder', path: '/var/lib/slip way' }],
    ['file://data', { kind: 'folder', path: `${process.cwd()}/data` }],
    ['s3://models', { kind: 's3', bucket: 'models', prefix: '' }],
    ['s3://models/team/a/', { kind: 's3', bucket: 'models', prefix: 'team/a' }],
  ])('takes the store %s apart', (ARTIFACT_STORE, parts) => {
    const config = readConfig({ ARTIFACT_STORE, S3_ACCESS_KEY: 'a', S3_SECRET_KEY: 'b' });
    expect(config.artifactStore).toEqual(parts);
  });

  it('asks for the keys of a bucket', () => {
    expect(faultsOf({ ARTIFACT_STORE: 's3://models' })).toHaveLength(2);
  });

  it.each(['0.0.0.0', '::', '10.0.0.1', 'example.org'])('demands a token for HOST=%s', (HOST) => {
    expect(faultsOf({ HOST })[0]).toContain('SLIPWAY_TOKEN');
    expect(faultsOf({ HOST, SLIPWAY_TOKEN: 'secret' })).toEqual([]);
    expect(faultsOf({ HOST, SLIPWAY_INSECURE: '1' })).toEqual([]);
    expect(faultsOf({ HOST, SLIPWAY_TOKEN: 'secret', SLIPWAY_TEST_HOOKS: '1' })).toHaveLength(1);
  });

  it('puts brackets around an IPv6 host in a URL', () => {
    expect(readConfig({ HOST: '[::1]' }).SERVING_URL).toBe('http://[::1]:8080');
  });

  it('takes an empty variable for an absent one', () => {
    expect(readConfig({ PORT: '', SLIPWAY_TOKEN: ' ' }).PORT).toBe(5000);
  });
});

it('names the nearest setting for an unknown variable', () => {
  expect(configWarnings({ SLIPWAY_TOKN: 'x', SLIPWAY_URL: 'y', OTHER: 'z' })).toEqual([
    expect.stringMatching(/^SLIPWAY_TOKN .* SLIPWAY_TOKEN$/),
  ]);
});

it.each([
  ['127.0.0.1', true],
  ['127.255.1.1', true],
  ['LOCALHOST', true],
  ['[::1]', true],
  ['::ffff:127.0.0.1', true],
  ['127.0.0.1.evil.org', false],
  ['localhost.evil.org', false],
  ['0.0.0.0', false],
])('isLoopback(%s) is %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});
