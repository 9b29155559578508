import { InitialSchema1795000000000 } from './1795000000000-initial-schema.js';
import { VerifiedBlobs1795100004000 } from './1795100004000-verified-blobs.js';

/** In the order in which they run; only ever appended to. */
export const migrations = [InitialSchema1795000000000, VerifiedBlobs1795100004000];
