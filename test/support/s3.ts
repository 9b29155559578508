import { randomBytes } from 'node:crypto';
import { Client } from 'minio';
import { S3ArtifactStore } from '#artifacts';

const endpoint = process.env.TEST_S3_ENDPOINT;
const accessKey = process.env.TEST_S3_ACCESS_KEY ?? 'testkey';
const secretKey = process.env.TEST_S3_SECRET_KEY ?? 'testsecret123';

/** Whether there is a server to test with; says on stderr what is left out where there is none. */
export function s3IsThere(what: string): boolean {
  if (endpoint) return true;
  process.stderr.write(
    `\nLEFT OUT: ${what}: TEST_S3_ENDPOINT is not set (.ci/s3-server COMMAND sets it)\n\n`,
  );
  return false;
}

/** Environment variables that name a new, empty bucket of the test server. */
export async function ownBucket(): Promise<Record<string, string>> {
  if (!endpoint) throw new Error('TEST_S3_ENDPOINT is not set');
  const { hostname, port } = new URL(endpoint);
  const client = new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    accessKey,
    secretKey,
  });
  const bucket = `test-${randomBytes(8).toString('hex')}`;
  await client.makeBucket(bucket, 'us-east-1');
  return {
    ARTIFACT_STORE: `s3://${bucket}/some/prefix`,
    S3_ENDPOINT: endpoint,
    S3_REGION: 'us-east-1',
    S3_ACCESS_KEY: accessKey,
    S3_SECRET_KEY: secretKey,
  };
}

/** A store in a bucket where nothing listens, or that swallows everything. */
export function s3At(url: string): S3ArtifactStore {
  return new S3ArtifactStore({ bucket: 'bucket', endpoint: url, accessKey, secretKey });
}
