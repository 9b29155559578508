import { type ChildProcess, fork } from 'node:child_process';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { printResult, spread } from './result.js';
import type { LargeKind } from './serving-servers.js';
import { requestBodies } from './serving-models.js';

// What requests to one model notice of another one that is loaded beside it: quiet rounds and rounds in which a large model
// is loaded and unloaded again and again, in turns. Requests come at fixed times, however long the answers take, and the
// latency of each counts from the time at which it was to be sent.
//
// Run: node dist/bench/loading.js [dense] [trees]; RATE=500 requests a second, ROUNDS=6, SECONDS=4 of each.

const RATE = Number(process.env['RATE'] ?? 500);
const ROUNDS = Number(process.env['ROUNDS'] ?? 6);
const SECONDS = Number(process.env['SECONDS'] ?? 4);
const CONNECTIONS = 16;
/** A load begins once in so many ms, or when the one before it has ended. */
const EVERY = 1000;
const PAUSE = 200;

const LARGE: Record<LargeKind, string> = {
  dense: 'an ONNX model of 52 MB',
  trees: 'a forest of 4,000 trees (49 MB)',
};

if (process.argv[2] === 'client') client(Number(process.argv[3]));
else await main();

async function main(): Promise<void> {
  const script = fileURLToPath(new URL('./serving-servers.js', import.meta.url));
  const server = await start(script, ['forest']);
  const asking = await start(fileURLToPath(import.meta.url), ['client', String(server.said)]);
  const chosen = (['dense', 'trees'] as const).filter((kind) => process.argv.includes(kind));
  for (const large of chosen.length ? chosen : (['dense', 'trees'] as const)) {
    await bench(server.child, asking.child, large);
  }
  asking.child.kill('SIGKILL');
  server.child.send('end');
}

async function bench(server: ChildProcess, asking: ChildProcess, large: LargeKind): Promise<void> {
  // The first time the model is made and stored as well.
  await ask(server, large);
  await ask(asking, SECONDS * 1000);
  const quiet: number[] = [];
  const loading: number[] = [];
  const loads: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    quiet.push(p99(await ask<number[]>(asking, SECONDS * 1000)));
    let going = true;
    const work = (async () => {
      while (going) {
        const due = performance.now() + EVERY;
        loads.push(await ask<number>(server, large));
        await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
      }
    })();
    loading.push(p99(await ask<number[]>(asking, SECONDS * 1000)));
    going = false;
    await work;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  printResult({
    what: `p99 of one model while ${LARGE[large]} loads, to p99 in quiet`,
    ...spread(loading.map((ms, i) => ms / (quiet[i] ?? NaN))),
    parts: {
      'quiet p99 ms': spread(quiet).ratio,
      'loading p99 ms': spread(loading).ratio,
      'a load ms': spread(loads).ratio,
      loads: loads.length,
    },
    goal: '<= 1.5',
    better: 'lower',
  });
}

function p99(latencies: number[]): number {
  const sorted = latencies.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? NaN;
}

function start(script: string, args: string[]): Promise<{ child: ChildProcess; said: number }> {
  const child = fork(script, args);
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

/** Sends requests at their times for as many milliseconds as it is told, and tells the latencies. */
function client(port: number): void {
  const requests = requestBodies('X', 4).map((body) =>
    Buffer.from(
      `POST /v2/models/m/infer HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    ),
  );
  let latencies: number[] = [];
  let sent = 0;
  const connections = Array.from({ length: CONNECTIONS }, () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    // HTTP/1.1 answers come in the order of the requests.
    const times: number[] = [];
    socket.on('data', (chunk: Buffer) => {
      for (let at = chunk.indexOf('HTTP/1.1 '); at >= 0; at = chunk.indexOf('HTTP/1.1 ', at + 9)) {
        if (chunk[at + 9] !== 0x32) throw new Error(chunk.toString());
        latencies.push(performance.now() - (times.shift() ?? NaN));
      }
    });
    return { socket, times };
  });
  process.on('message', (ms: number) => {
    latencies = [];
    sent = 0;
    const begun = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      for (; sent < ((now - begun) * RATE) / 1000 && sent < (ms * RATE) / 1000; sent++) {
        const connection = connections[sent % CONNECTIONS];
        connection?.times.push(begun + (sent * 1000) / RATE);
        connection?.socket.write(requests[sent % requests.length] ?? '');
      }
      if (latencies.length < (ms * RATE) / 1000) return;
      clearInterval(timer);
      process.send?.(latencies);
    }, 1);
  });
  process.send?.(0);
}
