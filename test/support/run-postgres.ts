import { EmbeddedPostgres } from '#database';

/* A process that holds an embedded PostgreSQL until it is killed, for the tests of what remains then. */
const postgres = await EmbeddedPostgres.start({ dataDir: process.argv[2] ?? '' });
process.stdout.write(
  `${JSON.stringify({ url: postgres.url(), guardian: postgres.guardianPid })}\n`,
);
process.once('SIGTERM', () => void postgres.stop().then(() => process.exit(0)));
