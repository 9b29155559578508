import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { probeStore } from '#artifacts';
import type { Config } from '#platform';
import { failure, ok, reasonOf, type Said, warning } from './finding.js';
import { nearestFolder } from './machine.js';

/** S3 refuses requests whose time is more than 15 minutes off. */
const SKEW_REFUSED = 15 * 60;
const SKEW_TOLD = 60;

export async function checkStore(config: Config): Promise<Said[]> {
  const absent = await absentFolder(config);
  if (absent) return [absent];
  const done: string[] = [];
  for await (const { step, error } of probeStore(config)) {
    if (error) {
      const where = config.artifactStore.kind === 's3' ? ` at ${config.S3_ENDPOINT}` : '';
      const message = `${config.ARTIFACT_STORE}${where}: cannot ${step}: ${reasonOf(error)}`;
      return [failure(message, nextOf(config, error)), ...(await checkStoreClock(config))];
    }
    done.push(step);
  }
  return [ok(`${config.ARTIFACT_STORE}: ${done.join(', ')}`), ...(await checkStoreClock(config))];
}

/** A folder that the first start makes is not made here. */
async function absentFolder({ artifactStore, DATA_DIR }: Config): Promise<Said | undefined> {
  if (artifactStore.kind !== 'folder') return undefined;
  const { path } = artifactStore;
  const there = await nearestFolder(path);
  if (there === path) return undefined;
  await access(there, constants.W_OK | constants.X_OK);
  if (path.startsWith(DATA_DIR)) return ok(`${path} is made at the first start`);
  return warning(
    `there is no ${path}: the next start makes it`,
    'if blobs should be there, mount it',
  );
}

function nextOf({ artifactStore }: Config, error: Error): string {
  const { message } = error;
  if (artifactStore.kind === 'folder') {
    if (/is full/.test(message)) return 'make room on its disk: slipway gc, or a larger one';
    return 'make the folder writable for the user of the server, or correct ARTIFACT_STORE';
  }
  if (/If-None-Match/.test(message)) return 'use an S3 service that knows conditional writes';
  if (/TimeTooSkewed/.test(message)) return 'set the clock of this machine (NTP)';
  if (/bucket .* does not exist/.test(message))
    return 'create the bucket, or correct ARTIFACT_STORE';
  if (/AccessDenied|Signature|InvalidAccessKey|UserNotFound|Forbidden/.test(message)) {
    return 'correct S3_ACCESS_KEY and S3_SECRET_KEY, or give that user the right';
  }
  return 'see whether the service runs and S3_ENDPOINT is right; uploads and new loads answer 503 until then';
}

/** The time that the service says with each of its answers. */
async function checkStoreClock({ artifactStore, S3_ENDPOINT }: Config): Promise<Said[]> {
  if (artifactStore.kind !== 's3') return [];
  const date = await fetch(S3_ENDPOINT, { method: 'HEAD', signal: AbortSignal.timeout(5_000) })
    .then((response) => response.headers.get('date'))
    .catch(() => null);
  if (!date) return [];
  const seconds = Math.abs(Date.parse(date) - Date.now()) / 1000;
  if (seconds < SKEW_TOLD) return [ok('its clock and ours agree')];
  const message = `its clock and ours differ by ${Math.round(seconds)} s`;
  const next = 'set both clocks (NTP)';
  return [
    seconds < SKEW_REFUSED
      ? warning(message, next)
      : failure(`${message}: S3 refuses requests that are 15 minutes off`, next),
  ];
}
