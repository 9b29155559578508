import { endWithParent, stopOnSignals, tellReady } from '#platform';

/* A child for the tests of supervision; its first argument-like setting says how it behaves. */
endWithParent();
const mode = process.env.CHILD_MODE;
if (mode === 'refuse') {
  process.stderr.write('the port is in use\n');
  process.exit(69);
}
if (mode === 'crash') process.exit(3);
if (mode === 'stubborn') process.on('SIGTERM', () => {});
else stopOnSignals(async () => {});
setInterval(() => {}, 1000);
tellReady(process.pid);
