import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { UsageError } from '../failure.js';

interface StartOptions {
  host?: string;
  port?: string;
  servingPort?: string;
  dataDir?: string;
  demo?: boolean;
}

export function addStart(program: Command): void {
  program
    .command('start')
    .description('run the registry and predictions here, in the foreground')
    .option('--host <address>', 'address to listen on (HOST, default 127.0.0.1)')
    .option('--port <port>', 'port of the registry (PORT, default 5000)')
    .option('--serving-port <port>', 'port of predictions (SERVING_PORT, default 8080)')
    .option('--data-dir <folder>', 'where everything is kept (DATA_DIR, default .slipway)')
    .option('--demo', 'add three small models to play with')
    .action((options: StartOptions) => start(options));
}

async function start({ host, port, servingPort, dataDir, demo }: StartOptions): Promise<void> {
  const main = fileURLToPath(new URL('../../server/main.js', import.meta.url));
  if (!existsSync(main)) throw new UsageError('The server is not built.', 'npm run build');
  const settings = { HOST: host, PORT: port, SERVING_PORT: servingPort, DATA_DIR: dataDir };
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  const server = spawn(process.execPath, [main, ...(demo ? ['--demo'] : [])], {
    stdio: 'inherit',
    env: { ...process.env, ...Object.fromEntries(given) },
  });
  // The terminal sends Ctrl-C to both; other senders only know this process.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => void server.kill(signal));
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    server.on('exit', (code, signal) => {
      process.exitCode = code ?? (signal === 'SIGTERM' || signal === 'SIGINT' ? 0 : 1);
      resolve();
    });
  });
}
