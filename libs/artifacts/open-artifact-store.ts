import type { Config } from '#platform';
import type { ArtifactStore } from './artifact-store.js';
import { FolderArtifactStore } from './folder-artifact-store.js';
import { S3ArtifactStore } from './s3-artifact-store.js';

/** The settings that say where blobs live. */
export type StoreSettings = Pick<
  Config,
  'artifactStore' | 'S3_ENDPOINT' | 'S3_REGION' | 'S3_ACCESS_KEY' | 'S3_SECRET_KEY'
>;

type Place = Config['artifactStore'];
type Drivers = {
  [Kind in Place['kind']]: (
    place: Extract<Place, { kind: Kind }>,
    settings: StoreSettings,
  ) => ArtifactStore;
};

/** One entry a driver: what `ARTIFACT_STORE` names, and how to make it. */
const drivers: Drivers = {
  folder: ({ path }) => new FolderArtifactStore(path),
  s3: ({ bucket, prefix }, settings) =>
    new S3ArtifactStore(
      {
        bucket,
        endpoint: settings.S3_ENDPOINT,
        region: settings.S3_REGION,
        accessKey: settings.S3_ACCESS_KEY,
        secretKey: settings.S3_SECRET_KEY,
      },
      prefix,
    ),
};

/** Makes the driver that the settings name. Nothing is asked of the store yet; `check` does. */
export function openArtifactStore(settings: StoreSettings): ArtifactStore {
  const place = settings.artifactStore;
  return place.kind === 's3' ? drivers.s3(place, settings) : drivers.folder(place, settings);
}
