import { createHash } from 'node:crypto';
import { createLogger } from '#platform';
import supertest from 'supertest';
import { startRegistryApp } from '../../apps/registry/start.js';
import { ownSettings } from './server.js';

/** The registry, listening on a free port, on a database and a folder of its own. */
export interface TestRegistry {
  url: string;
  http: ReturnType<typeof supertest>;
  /** Uploads bytes; gives their digest. */
  upload(bytes: Buffer): Promise<string>;
  /** Logs a one-file version and waits until it is compiled; gives its number. */
  logVersion(model: string, bytes: Buffer): Promise<number>;
  /** The version, when the compile step has spoken. */
  compiled(model: string, version: number): Promise<CompiledVersion>;
  close(): Promise<void>;
}

interface CompiledVersion {
  format: string | null;
  serving: { state: string; reason: string };
  [field: string]: unknown;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export async function startRegistry(env: NodeJS.ProcessEnv = {}): Promise<TestRegistry> {
  const { config, release } = await ownSettings(env);
  const app = await startRegistryApp(config, createLogger(config, 'registry'));
  const url = `http://127.0.0.1:${app.port}`;
  const http = supertest(url);
  const compiled = async (model: string, version: number): Promise<CompiledVersion> => {
    const path = `/api/v1/models/${encodeURIComponent(model)}/versions/${version}`;
    for (;;) {
      const { body } = await http.get(path).expect(200);
      if (body.serving.state !== 'pending') return body as CompiledVersion;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  };
  const upload = async (bytes: Buffer): Promise<string> => {
    const digest = digestOf(bytes);
    const { headers } = await http.post('/api/v1/blobs/uploads').expect(202);
    await http
      .put(`${headers.location}?digest=${digest}`)
      .set('Content-Type', 'application/octet-stream')
      .send(bytes)
      .expect(201);
    return digest;
  };
  return {
    url,
    http,
    upload,
    compiled,
    async logVersion(model, bytes) {
      const digest = await upload(bytes);
      const { body } = await http
        .post(`/api/v1/models/${encodeURIComponent(model)}/versions`)
        .send({ files: [{ path: 'model.json', digest }] })
        .expect(201);
      await compiled(model, body.version);
      return body.version as number;
    },
    async close() {
      await app.close();
      await release();
    },
  };
}
