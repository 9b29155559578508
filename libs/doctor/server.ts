import { type Config, freePort, productVersion } from '#platform';
import { failure, ok, reasonOf, type Said, warning } from './finding.js';
import { ownerOfPort } from './port-owner.js';

const PATIENCE = 5_000;

/** What answered, where something did. */
interface Answer {
  status: number;
  body: Record<string, unknown>;
}

export async function checkPorts(config: Config): Promise<Said[]> {
  const { PORT, SERVING_PORT } = config;
  return Promise.all([
    checkPort(config, 'PORT', PORT, isRegistry),
    checkPort(config, 'SERVING_PORT', SERVING_PORT, isServing),
  ]);
}

async function checkPort(
  { HOST }: Config,
  setting: string,
  port: number,
  isOurs: (answer: Answer) => boolean,
): Promise<Said> {
  const at = `${setting} ${port}`;
  try {
    const free = await freePort(HOST, port);
    return ok(port === 0 ? `${setting} 0: any free one, such as ${free}` : `${at} is free`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE') {
      return failure(
        `${at} of ${HOST} cannot be opened: ${reasonOf(error)}`,
        `correct HOST or ${setting}`,
      );
    }
  }
  const owner = await ownerOfPort(port);
  const answer = await ask(`${originOf(HOST, port)}/readyz`);
  if (answer && isOurs(answer))
    return ok(`${at} is taken by a running Slipway${owner ? `, ${owner}` : ''}`);
  const next = `stop that program, or set ${setting} to another port`;
  return failure(
    `${at} is taken by ${owner ?? 'another program, which this user may not see'}`,
    next,
  );
}

export async function checkServer(config: Config): Promise<Said[]> {
  const { HOST, PORT, SERVING_PORT } = config;
  const [registry, serving] = await Promise.all([
    PORT === 0 ? undefined : ask(`${originOf(HOST, PORT)}/readyz`),
    SERVING_PORT === 0 ? undefined : ask(`${originOf(HOST, SERVING_PORT)}/readyz`),
  ]);
  const runs = registry && isRegistry(registry);
  const serves = serving && isServing(serving);
  if (!runs && !serves) return [ok('no server runs here')];
  const said: Said[] = [];
  if (runs) said.push(await registrySaid(config, registry));
  else
    said.push(
      warning('serving runs here without a registry', 'nothing, if the registry runs elsewhere'),
    );
  if (serves) said.push(servingSaid(serving));
  else if (PORT !== 0 && SERVING_PORT !== 0) {
    said.push(
      warning(
        'a registry runs here without serving',
        'nothing, if serving runs elsewhere; else see its log',
      ),
    );
  }
  return said;
}

async function registrySaid(
  { HOST, PORT, SLIPWAY_TOKEN }: Config,
  { status, body }: Answer,
): Promise<Said> {
  const told = await ask(`${originOf(HOST, PORT)}/api/v1/server`, SLIPWAY_TOKEN);
  const version = typeof told?.body.version === 'string' ? told.body.version : undefined;
  if (status !== 200) {
    const why = ['database', 'store']
      .filter((part) => body[part] !== 'ok')
      .map((part) => `${part}: ${String(body[part])}`);
    if (body.starting) why.push('it still starts');
    return failure(
      `the registry is not ready (${why.join('; ')})`,
      'see the lines on database and store here, and the log of the server',
    );
  }
  if (told?.status === 401) {
    return warning(
      'the registry is ready, but refuses SLIPWAY_TOKEN',
      'set SLIPWAY_TOKEN to the token of the server',
    );
  }
  if (version !== undefined && version !== productVersion) {
    return warning(
      `the registry is ready, and is version ${version}; this command is ${productVersion}`,
      'restart the server, or use the command of its version',
    );
  }
  return ok(`the registry is ready${version ? ` (version ${version})` : ''}`);
}

function servingSaid({ status, body }: Answer): Said {
  const models = Array.isArray(body.models) ? (body.models as Record<string, unknown>[]) : [];
  const ill = models.map(({ model, state, reason }) =>
    [`${String(model)} is ${String(state)}`, reason].filter(Boolean).join(': '),
  );
  if (status !== 200) {
    return failure(
      `serving is not ready (${[String(body.status), ...ill].join('; ')})`,
      'wait a moment and ask again; slipway show MODEL says what each process does',
    );
  }
  if (ill.length === 0) return ok('serving is ready, every followed model answers');
  return warning(
    `serving is ready, but ${ill.join('; ')}`,
    'slipway show MODEL; slipway rollback MODEL takes the version before back',
  );
}

function isRegistry({ body }: Answer): boolean {
  return 'ready' in body && 'database' in body && 'store' in body;
}

function isServing({ body }: Answer): boolean {
  return 'status' in body && 'models' in body;
}

/** Where this machine reaches an address that may mean all of them. */
function originOf(host: string, port: number): string {
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

async function ask(url: string, token = ''): Promise<Answer | undefined> {
  try {
    const response = await fetch(url, {
      signal: AbortSignal.timeout(PATIENCE),
      redirect: 'error',
      ...(token && { headers: { authorization: `Bearer ${token}` } }),
    });
    const body: unknown = await response.json();
    if (typeof body !== 'object' || body === null) return undefined;
    return { status: response.status, body: body as Record<string, unknown> };
  } catch {
    return undefined;
  }
}
