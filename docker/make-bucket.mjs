// Makes the bucket of ARTIFACT_STORE where there is none, with the S3_* settings of the server.
import { Client } from 'minio';

const { ARTIFACT_STORE = '', S3_ENDPOINT = '', S3_REGION = 'us-east-1' } = process.env;
const { hostname, port, protocol } = new URL(S3_ENDPOINT);
const bucket = new URL(ARTIFACT_STORE).hostname;
const client = new Client({
  endPoint: hostname,
  port: Number(port) || (protocol === 'https:' ? 443 : 80),
  useSSL: protocol === 'https:',
  region: S3_REGION,
  accessKey: process.env.S3_ACCESS_KEY ?? '',
  secretKey: process.env.S3_SECRET_KEY ?? '',
});
if (!(await client.bucketExists(bucket))) await client.makeBucket(bucket, S3_REGION);
