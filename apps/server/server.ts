import { fileURLToPath } from 'node:url';
import { openArtifactStore } from '#artifacts';
import { checkDatabase, EmbeddedPostgres, migrate } from '#database';
import {
  type Config,
  createLogger,
  freePort,
  type HeldFolder,
  logCrashes,
  type Logger,
  notListening,
  openDataDir,
  rememberSecrets,
  setStarting,
  StartError,
  type SupervisedChild,
  superviseChild,
} from '#platform';

export interface ServerOptions {
  /** Logs the demo models before `/readyz` says 200. */
  demo?: boolean;
  /** Called where the server cannot go on. */
  onGivenUp?: (error: StartError) => void;
}

/**
 * Everything in one command: PostgreSQL (unless `DATABASE_URL` names one), migrations, and the registry and serving as
 * children. Prints a line a port when it answers.
 */
export class Server {
  private readonly logger: Logger;
  private dataDir: HeldFolder | undefined;
  private postgres: EmbeddedPostgres | undefined;
  private readonly children: SupervisedChild[] = [];

  constructor(
    private readonly config: Config,
    private readonly options: ServerOptions = {},
  ) {
    this.logger = createLogger(config, 'server');
    logCrashes(this.logger);
  }

  /** @throws StartError; {@link stop} is needed then too. */
  async start(): Promise<void> {
    const { config } = this;
    this.dataDir = await openDataDir(config.DATA_DIR);
    const ports = await this.freePorts();
    const databaseUrl = await this.openDatabase();
    await checkStore(config);
    await setStarting(config, this.options.demo ?? false);
    const env = {
      ...process.env,
      ...ports,
      DATA_DIR: config.DATA_DIR,
      DATABASE_URL: databaseUrl,
    };
    await Promise.all([
      this.startChild('registry', '../registry/main.js', env),
      this.startChild('serving', '../serving/main.js', env),
    ]);
    if (this.options.demo) await this.logDemo(Number(ports.PORT));
  }

  /** Serving and registry end with their running requests, then PostgreSQL. */
  async stop(): Promise<void> {
    await Promise.all(this.children.map((child) => child.stop()));
    await this.postgres?.stop();
    await this.dataDir?.release();
  }

  private async openDatabase(): Promise<string> {
    const { DATABASE_URL, DATA_DIR } = this.config;
    if (!DATABASE_URL) {
      this.postgres = await EmbeddedPostgres.start({ dataDir: DATA_DIR, logger: this.logger });
    }
    const url = DATABASE_URL || (this.postgres?.url() ?? '');
    // The password of the embedded one is no setting.
    rememberSecrets({ DATABASE_URL: url });
    await checkDatabase(url);
    await migrate(url);
    return url;
  }

  /** Ports are fixed before the children start, so that each keeps its own when it is started again. */
  private async freePorts(): Promise<{ PORT: string; SERVING_PORT: string }> {
    const { HOST, PORT, SERVING_PORT } = this.config;
    const find = (port: number) =>
      freePort(HOST, port).catch((error: NodeJS.ErrnoException) => {
        throw notListening(error, port, HOST);
      });
    const registry = await find(PORT);
    let serving = await find(SERVING_PORT);
    while (serving === registry) serving = await find(0);
    return { PORT: String(registry), SERVING_PORT: String(serving) };
  }

  private async startChild(name: string, script: string, env: NodeJS.ProcessEnv): Promise<void> {
    const { onGivenUp } = this.options;
    const child = superviseChild({
      name,
      script: fileURLToPath(new URL(script, import.meta.url)),
      env,
      logger: this.logger,
      ...(onGivenUp && { onGivenUp }),
    });
    this.children.push(child);
    const port = await child.ready;
    process.stdout.write(`${name} listening on ${urlOf(this.config.HOST, port)}\n`);
  }

  private async logDemo(port: number): Promise<void> {
    const { demo } = await import('./demo.js');
    await demo(urlOf(this.config.loopback ? this.config.HOST : '127.0.0.1', port));
    await setStarting(this.config, false);
  }
}

/** @throws StartError where the artifact store cannot be used */
async function checkStore(config: Config): Promise<void> {
  try {
    await openArtifactStore(config).check();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`Cannot use ARTIFACT_STORE=${config.ARTIFACT_STORE}: ${reason}`);
  }
}

function urlOf(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
