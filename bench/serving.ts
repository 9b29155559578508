import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { printResult, spread } from './result.js';
import { requestBodies } from './serving-models.js';

// The predict path as a share of a bare node:http echo of the same bodies, both asked in turns by a client process over
// keep-alive connections: a forest in the serving process, and an ONNX graph in its compartment. Where there are two
// processors, the client has the one and the servers (with compartments) the other.
//
// Run: node dist/bench/serving.js [forest] [mlp]; CONNECTIONS=48, ROUNDS=15, PROFILE=1 writes *.cpuprofile of the servers.

const connections = Number(process.env['CONNECTIONS'] ?? 48);
const rounds = Number(process.env['ROUNDS'] ?? 15);
/** Answers after which all that is hot has been compiled; counted, because a busy machine gives few in a second. */
const WARM_UP = 80_000;
const ROUND = 700;

const CASES = {
  forest: {
    what: `predict, 100 trees, ${connections} connections, to a bare node:http echo`,
    goal: '>= 0.80',
    input: 'X',
    features: 4,
  },
  mlp: {
    what: `predict, ONNX MLP in its compartment, ${connections} connections, to a bare node:http echo`,
    goal: '>= 0.65',
    input: 'x',
    features: 16,
  },
} as const;

const [role, ...rest] = process.argv.slice(2);
if (role === 'client') client(Number(rest[0]), rest[1] === 'mlp' ? 'mlp' : 'forest');
else {
  const chosen = (['forest', 'mlp'] as const).filter((kind) => process.argv.includes(kind));
  for (const kind of chosen.length ? chosen : (['forest', 'mlp'] as const)) await bench(kind);
}

interface Side {
  server: ChildProcess;
  client: ChildProcess;
}

/** What one side did in one round. */
interface Round {
  count: number;
  /** Answers a second. */
  rate: number;
  /** Microseconds of the server's processor time for an answer. */
  cost: number;
  /** Bytes of an answer's body, on average. */
  size: number;
}

async function bench(kind: keyof typeof CASES): Promise<void> {
  const echo = await startSide('echo', kind);
  const ours = await startSide(kind, kind);
  for (const side of [echo, ours]) {
    for (let count = 0; count < WARM_UP;) count += (await run(side, 1000)).count;
  }
  const pairs: { echo: Round; ours: Round }[] = [];
  for (let i = 0; i < rounds; i++) {
    pairs.push({ echo: await run(echo, ROUND), ours: await run(ours, ROUND) });
  }
  for (const { server, client: asking } of [echo, ours]) {
    asking.kill('SIGKILL');
    server.send('end');
  }
  const { what, goal } = CASES[kind];
  const middle = (side: 'echo' | 'ours', value: keyof Round): number =>
    spread(pairs.map((pair) => pair[side][value])).ratio;
  printResult({
    what,
    ...spread(pairs.map((pair) => pair.ours.rate / pair.echo.rate)),
    parts: { 'echo req/s': middle('echo', 'rate'), 'predict req/s': middle('ours', 'rate') },
    goal,
    better: 'higher',
  });
  printResult({
    what: `${what}, by processor time`,
    ...spread(pairs.map((pair) => pair.echo.cost / pair.ours.cost)),
    parts: {
      'echo µs/req': middle('echo', 'cost'),
      'predict µs/req': middle('ours', 'cost'),
      'echo answer bytes': middle('echo', 'size'),
      'predict answer bytes': middle('ours', 'size'),
    },
    goal,
    better: 'higher',
  });
}

async function run({ server, client: asking }: Side, ms: number): Promise<Round> {
  const before = await ask<number>(server, 'cpu');
  const { count, bytes } = await ask<{ count: number; bytes: number }>(asking, ms);
  const used = (await ask<number>(server, 'cpu')) - before;
  return { count, rate: (count * 1000) / ms, cost: used / count, size: bytes / count };
}

async function startSide(server: string, kind: keyof typeof CASES): Promise<Side> {
  const profile = process.env['PROFILE'] ? ['--cpu-prof', '--cpu-prof-interval=200'] : [];
  const script = fileURLToPath(new URL('./serving-servers.js', import.meta.url));
  const { child, said: port } = await start(script, [server], profile);
  pin(child, 1);
  for (const pid of await ask<number[]>(child, 'children')) pin({ pid }, 1);
  const asking = await start(fileURLToPath(import.meta.url), ['client', String(port), kind], []);
  pin(asking.child, 0);
  return { server: child, client: asking.child };
}

/** All threads of a process to one processor, where there is another one and Linux's `taskset`. */
function pin({ pid }: { pid?: number | undefined }, processor: number): void {
  if (availableParallelism() < 2 || pid === undefined) return;
  spawnSync('taskset', ['-a', '-c', '-p', String(processor), String(pid)], { stdio: 'ignore' });
}

function start(
  script: string,
  args: string[],
  execArgv: string[],
): Promise<{ child: ChildProcess; said: number }> {
  const child = fork(script, args, { execArgv });
  return new Promise((resolve, reject) => {
    child.once('message', (said: number) => resolve({ child, said }));
    child.once('exit', (code) => reject(new Error(`${script} ended with code ${code}`)));
  });
}

function ask<T>(child: ChildProcess, message: string | number): Promise<T> {
  return new Promise((resolve) => {
    child.once('message', (answer) => resolve(answer as T));
    child.send(message);
  });
}

/** Keeps its connections busy while it is asked to, and tells how many answers came, and the bytes of their bodies. */
function client(port: number, kind: keyof typeof CASES): void {
  const { input, features } = CASES[kind];
  const requests = requestBodies(input, features).map((body) =>
    Buffer.from(
      `POST /v2/models/m/infer HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    ),
  );
  let going = false;
  let count = 0;
  let bytes = 0;
  let next = 0;
  const send = (socket: ReturnType<typeof connect>): void => {
    const request = requests[next++ % requests.length];
    if (request) socket.write(request);
  };
  const sockets = Array.from({ length: connections }, () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('data', (chunk: Buffer) => {
      // Answers are small and come in one piece; anything but a 200 ends the measurement.
      if (chunk[9] !== 0x32) throw new Error(chunk.toString());
      count++;
      if ((count & 63) === 0) bytes += 64 * (chunk.length - chunk.indexOf('\r\n\r\n') - 4);
      if (going) send(socket);
    });
    return socket;
  });
  process.on('message', (ms: number) => {
    going = true;
    count = bytes = 0;
    for (const socket of sockets) send(socket);
    setTimeout(() => {
      going = false;
      // The last answers are still on their way, and cost the server as well.
      setTimeout(() => process.send?.({ count, bytes }), 50);
    }, ms);
  });
  process.send?.(0);
}
