// Ends with 0 where the ports of this container answer: `node docker/health.mjs [registry] [serving]`, by default both.
// It asks /livez, not /readyz: predictions go on while the database is away, and must not be restarted for it.
const ports = { registry: process.env.PORT || '5000', serving: process.env.SERVING_PORT || '8080' };
const parts = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(ports);
const answers = await Promise.all(
  parts.map((part) =>
    fetch(`http://127.0.0.1:${ports[part]}/livez`, { signal: AbortSignal.timeout(4_000) }).then(
      (response) => response.ok,
      () => false,
    ),
  ),
);
const silent = parts.filter((_, i) => !answers[i]);
if (silent.length > 0) console.error(`does not answer: ${silent.join(', ')}`);
process.exit(silent.length > 0 ? 1 : 0);
