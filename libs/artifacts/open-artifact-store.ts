import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ArtifactStore } from './artifact-store.js';
import { FolderArtifactStore } from './folder-artifact-store.js';
import { S3ArtifactStore } from './s3-artifact-store.js';

/** The settings that say where blobs live; `Config` has them. */
export interface StoreSettings {
  /** `file://FOLDER` or `s3://BUCKET/PREFIX`. */
  ARTIFACT_STORE: string;
  S3_ENDPOINT?: string | undefined;
  S3_REGION?: string | undefined;
  S3_ACCESS_KEY?: string | undefined;
  S3_SECRET_KEY?: string | undefined;
}

type Scheme = 'file' | 's3';

/** One line a driver: the scheme in `ARTIFACT_STORE`, and how to make it from what follows `://`. */
const drivers: Record<Scheme, (rest: string, settings: StoreSettings) => ArtifactStore> = {
  file: (rest) => new FolderArtifactStore(folderOf(rest)),
  s3: (rest, settings) => {
    const [bucket = '', ...prefix] = rest.split('/');
    return new S3ArtifactStore(
      {
        bucket,
        endpoint: settings.S3_ENDPOINT,
        region: settings.S3_REGION,
        accessKey: settings.S3_ACCESS_KEY,
        secretKey: settings.S3_SECRET_KEY,
      },
      prefix.join('/'),
    );
  },
};

/** Makes the driver that the settings name; nothing is asked of the store yet (`check` does). */
export function openArtifactStore(settings: StoreSettings): ArtifactStore {
  const [scheme = '', rest = ''] = settings.ARTIFACT_STORE.split('://', 2);
  if (!isScheme(scheme) || rest === '') {
    const known = Object.keys(drivers).map((name) => `${name}://…`);
    throw new Error(
      `ARTIFACT_STORE is "${settings.ARTIFACT_STORE}", but must be ${known.join(' or ')}`,
    );
  }
  return drivers[scheme](rest, settings);
}

function isScheme(text: string): text is Scheme {
  return Object.hasOwn(drivers, text);
}

/** `file:///srv/x` is a URL with its escapes; `file://.slipway/x` is a folder below where the server was started. */
function folderOf(rest: string): string {
  return rest.startsWith('/') ? fileURLToPath(`file://${rest}`) : resolve(rest);
}
