import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { Config, configWarnings, readConfig } from '#platform';
import { load, loadAll, YAML11_SCHEMA } from 'js-yaml';
import { copyOf, isSent, readDockerfile } from './support/dockerfile.js';

const ignore = readFileSync('.dockerignore', 'utf8');
const stages = readDockerfile('docker/Dockerfile');
const last = stages.at(-1);
const all = (word: string) =>
  (last?.steps ?? []).filter((step) => step.word === word).map(({ rest }) => rest);

/** Modules of dist/ that a command names exist as sources. */
function expectModule(path: string): void {
  const source = path.replace(/^dist\//, '').replace(/\.js$/, '.ts');
  expect([path, existsSync(path.startsWith('dist/') ? source : path)]).toEqual([path, true]);
}

describe('the Dockerfile', () => {
  it('copies only what is there and sent', () => {
    for (const { steps } of stages) {
      for (const { rest } of steps.filter(({ word }) => word === 'COPY')) {
        const { stage, sources } = copyOf(rest);
        if (stage) expect(stages.map(({ name }) => name)).toContain(stage);
        else {
          for (const source of sources)
            expect([source, existsSync(source), isSent(source, ignore)]).toEqual([
              source,
              true,
              true,
            ]);
        }
      }
    }
  });

  it('sends neither tests nor secrets nor what was built here', () => {
    for (const path of [
      'docker/.env',
      '.git/config',
      'node_modules/pg/package.json',
      'dist/apps/cli/main.js',
      '.slipway/postgres-password',
      'test/docker.spec.ts',
      'libs/platform/json.spec.ts',
    ]) {
      expect([path, isSent(path, ignore)]).toEqual([path, false]);
    }
    expect(isSent('libs/platform/json.ts', ignore)).toBe(true);
  });

  it('runs the server as nobody special, with one volume, and with what it installed for production', () => {
    expect(all('USER')).toEqual(['10001:10001']);
    expect(all('VOLUME')).toEqual(['/var/lib/slipway']);
    expect(all('EXPOSE')).toEqual(['5000 8080']);
    expect(all('ENV').join(' ')).toContain('DATA_DIR=/var/lib/slipway');
    const [command = '[]'] = all('CMD');
    expectModule((JSON.parse(command) as string[])[0] ?? '');
    expect(all('HEALTHCHECK')[0]).toContain('["node", "docker/health.mjs"]');
    const dependencies = stages.find(({ name }) => name === 'dependencies');
    expect(dependencies?.steps.at(-1)?.rest).toContain('npm ci --omit=dev');
    expect(new Set(stages.map(({ from }) => from))).toEqual(new Set(['node:20-bookworm-slim']));
  });
});

interface Service {
  image: string;
  command?: string[];
  environment: Record<string, string>;
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  healthcheck?: object;
  depends_on?: Record<string, { condition: string }>;
  volumes?: string[];
}

describe('compose.yaml', () => {
  const text = readFileSync('docker/compose.yaml', 'utf8');
  const compose = load(text, { schema: YAML11_SCHEMA }) as {
    services: Record<string, Service>;
    volumes: Record<string, null>;
  };
  const { slipway, ...others } = compose.services;

  it('contains every service', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      expect({ name, ...service }).toMatchObject({
        name,
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
      for (const volume of service.volumes ?? [])
        expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0]);
    }
    for (const [name, { condition }] of Object.entries(slipway?.depends_on ?? {})) {
      expect(Object.keys(others)).toContain(name);
      if (condition === 'service_healthy') expect(others[name]?.healthcheck).toBeDefined();
    }
    for (const word of others.bucket?.command ?? []) expectModule(word);
  });

  it('has no secret of its own, and refuses to begin without them', () => {
    const example = readFileSync('docker/.env.example', 'utf8');
    for (const name of ['SLIPWAY_TOKEN', 'POSTGRES_PASSWORD', 'S3_ACCESS_KEY', 'S3_SECRET_KEY']) {
      const uses = text.match(new RegExp(`\\$\\{${name}\\b[^}]*\\}`, 'g')) ?? [];
      expect(uses.length).toBeGreaterThan(0);
      for (const use of uses) expect(use).toMatch(/:\?set \w+ in docker\/\.env\}$/);
      expect(example).toContain(`\n${name}=\n`);
    }
  });

  it('gives the server settings that it accepts', () => {
    const filled = Object.entries(slipway?.environment ?? {}).map(([name, value]) => [
      name,
      value.replace(/\$\{\w+:-([^}]*)\}/g, '$1').replace(/\$\{(\w+):\?[^}]*\}/g, 'x'),
    ]);
    const env = { HOST: '0.0.0.0', ...Object.fromEntries(filled) };
    expect(readConfig(env)).toMatchObject({ ARTIFACT_STORE: 's3://slipway', SLIPWAY_TOKEN: 'x' });
    expect(configWarnings(env)).toEqual([]);
  });
});

describe('kubernetes.yaml', () => {
  interface Container {
    name: string;
    args: string[];
    env?: { name: string }[];
    securityContext: object;
    volumeMounts: { name: string }[];
    livenessProbe?: { httpGet: { path: string } };
    readinessProbe?: { httpGet: { path: string } };
  }
  interface Resource {
    kind: string;
    spec: {
      template?: {
        metadata: { labels: object };
        spec: {
          containers: Container[];
          initContainers?: Container[];
          volumes: { name: string }[];
          enableServiceLinks: boolean;
        };
      };
      selector: { matchLabels?: object };
    };
  }
  const resources = loadAll(readFileSync('docker/kubernetes.yaml', 'utf8')) as Resource[];

  it('runs commands that exist, contained, with settings that exist', () => {
    expect(resources.map(({ kind }) => kind)).toEqual([
      'Deployment',
      'Deployment',
      'Service',
      'Service',
    ]);
    const settings = Object.keys(readConfig({})).concat(Object.keys(new Config()));
    for (const { template, selector } of resources.flatMap(({ spec }) =>
      spec.template ? [spec] : [],
    )) {
      if (!template) continue;
      const { spec, metadata } = template;
      expect(metadata.labels).toEqual(selector.matchLabels);
      expect(spec.enableServiceLinks).toBe(false);
      for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) {
        expectModule(container.args[0] ?? '');
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        for (const { name } of container.env ?? []) expect(settings).toContain(name);
        const volumes = spec.volumes.map(({ name }) => name);
        for (const { name } of container.volumeMounts) expect(volumes).toContain(name);
      }
      for (const { livenessProbe, readinessProbe } of spec.containers) {
        expect(livenessProbe?.httpGet.path).toBe('/livez');
        expect(readinessProbe?.httpGet.path).toBe('/readyz');
      }
    }
    const [registry] = resources;
    const [migrate] = registry?.spec.template?.spec.initContainers ?? [];
    expect(migrate?.args).toEqual([join('dist', 'apps', 'cli', 'main.js'), 'migrate']);
  });
});
