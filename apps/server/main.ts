import { parseArgs } from 'node:util';
import {
  configWarnings,
  readConfig,
  runMain,
  StartError,
  stopOnSignals,
  explain,
  exitCodeOf,
} from '#platform';
import { Server } from './server.js';

const EXIT_USAGE = 64;

await runMain(async () => {
  const { demo } = readArguments();
  const config = readConfig();
  for (const warning of configWarnings()) process.stderr.write(`Warning: ${warning}\n`);
  if (!config.loopback && !config.SLIPWAY_TOKEN) {
    process.stderr.write(
      `Warning: everybody who can reach ${config.HOST} may change everything here (SLIPWAY_INSECURE=1)\n`,
    );
  }
  const server = new Server(config, { demo, onGivenUp: (error) => void end(server, error) });
  stopOnSignals(() => server.stop());
  stopWithNpm();
  // Whoever reads the lines may go away; the server stays.
  process.stdout.on('error', () => {});
  await server.start().catch((error: unknown) => end(server, error));
});

async function end(server: Server, error: unknown): Promise<never> {
  const reason = explain(error);
  if (reason) process.stderr.write(`${reason}\n`);
  await server.stop();
  process.exit(exitCodeOf(error));
}

function readArguments(): { demo: boolean } {
  try {
    const { values } = parseArgs({ options: { demo: { type: 'boolean', default: false } } });
    return { demo: values.demo };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`${reason}\nUsage: npm start -- [--demo]`, EXIT_USAGE);
  }
}

/** A killed npm does not tell what it started; that its child has another parent then does. */
function stopWithNpm(): void {
  if (process.env.npm_lifecycle_event !== 'start') return;
  const npm = process.ppid;
  setInterval(() => {
    if (process.ppid !== npm) process.kill(process.pid, 'SIGTERM');
  }, 1_000).unref();
}
