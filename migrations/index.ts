import { InitialSchema1795000000000 } from './1795000000000-initial-schema.js';
import { TraceOfCompileJobs1795100000200 } from './1795100000200-trace-of-compile-jobs.js';

/** In the order in which they run; only ever appended to. */
export const migrations = [InitialSchema1795000000000, TraceOfCompileJobs1795100000200];
