import { fileURLToPath } from 'node:url';
import { createLogger, superviseChild } from '#platform';

/* A parent of one child, for the test of what remains when it is killed; prints the child's process id. */
const child = superviseChild({
  name: 'child',
  script: fileURLToPath(new URL('./run-child.js', import.meta.url)),
  env: process.env,
  logger: createLogger({ LOG_LEVEL: 'silent' }, 'test'),
});
process.stdout.write(`${await child.ready}\n`);
