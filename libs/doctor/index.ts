export { diagnose } from './doctor.js';
export type { Finding } from './finding.js';
