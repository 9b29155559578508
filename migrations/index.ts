import { InitialSchema1795000000000 } from './1795000000000-initial-schema.js';
import { VerifiedBlobs1795100004000 } from './1795100004000-verified-blobs.js';
import { TraceOfCompileJobs1795100005200 } from './1795100005200-trace-of-compile-jobs.js';
import { DigestsOfManifestFiles1795200010000 } from './1795200010000-digests-of-manifest-files.js';
import { NamedSignatures1795200020000 } from './1795200020000-named-signatures.js';
import { SharedBlobs1795200050000 } from './1795200050000-shared-blobs.js';

/** In the order in which they run; only ever appended to. */
export const migrations = [
  InitialSchema1795000000000,
  VerifiedBlobs1795100004000,
  TraceOfCompileJobs1795100005200,
  DigestsOfManifestFiles1795200010000,
  NamedSignatures1795200020000,
  SharedBlobs1795200050000,
];
