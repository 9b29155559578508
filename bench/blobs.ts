// 1 GiB up and down through the registry process on its folder: up beside `openssl dgst -sha256` of the same file, down beside
// sendfile(2) with the same client; in turns, with the file in the page cache. Run: node dist/bench/blobs.js [rounds]
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { EmbeddedPostgres, migrate } from '#database';
import { freePort } from '#platform';
import { printResult, spread } from './result.js';
import { cpuOf } from './server-process.js';

const SIZE = 2 ** 30;
const MIB = 2 ** 20;
const rounds = Number(process.argv[2] ?? 7);
const folder = mkdtempSync(join(tmpdir(), 'slipway-blobs-'));
// PostgreSQL may run as another user, who has to pass through.
chmodSync(folder, 0o711);
const file = join(folder, 'file');
const digest = `sha256:${writeFile()}`;
const postgres = await EmbeddedPostgres.start({ dataDir: folder });
const children: ChildProcess[] = [];
try {
  await migrate(postgres.url());
  await bench(await startRegistry());
} finally {
  for (const child of children) child.kill('SIGTERM');
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** Makes a file of noise; gives the hex of its digest. */
function writeFile(): string {
  const hash = createHash('sha256');
  const descriptor = openSync(file, 'w');
  for (let written = 0; written < SIZE; written += 16 * MIB) {
    const part = randomBytes(16 * MIB);
    hash.update(part);
    writeSync(descriptor, part);
  }
  closeSync(descriptor);
  return hash.digest('hex');
}

interface Registry {
  port: number;
  pid: number;
}

async function startRegistry(): Promise<Registry> {
  const port = await freePort('127.0.0.1');
  const script = fileURLToPath(new URL('../apps/registry/main.js', import.meta.url));
  const child = spawn(process.execPath, [script], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      PATH: process.env.PATH,
      DATA_DIR: folder,
      DATABASE_URL: postgres.url(),
      PORT: String(port),
      LOG_LEVEL: 'warn',
    },
  });
  children.push(child);
  const late = Date.now() + 30_000;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    if (answer?.ok) return { port, pid: child.pid ?? 0 };
    if (Date.now() > late) throw new Error('the registry does not get ready');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The server that sends the file by sendfile(2); undefined where there is no Python to run it. */
async function startSendfile(): Promise<number | undefined> {
  const script = fileURLToPath(new URL('../../bench/sendfile_server.py', import.meta.url));
  const child = spawn('python3', [script, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return new Promise((resolve) => {
    child.once('error', () => resolve(undefined));
    createInterface(child.stdout).once('line', (line) => resolve(Number(line)));
  });
}

async function bench(registry: Registry): Promise<void> {
  const sendfile = await startSendfile();
  const openssl = await timeOf(hashByOpenssl).catch(() => undefined);
  if (openssl === undefined) console.log('openssl is missing: the speed of uploads is left out');
  if (sendfile === undefined) {
    console.log('python3 is missing, which runs sendfile(2): the speed of downloads is left out');
  }
  const times = {
    openssl: [] as number[],
    up: [] as number[],
    sendfile: [] as number[],
    down: [] as number[],
  };
  const cpu = { up: 0, down: 0 };
  await upload(registry.port);
  // An upload of this size goes around the page cache.
  await download(registry.port);
  for (let round = 0; round < rounds; round++) {
    if (openssl !== undefined) times.openssl.push(await timeOf(hashByOpenssl));
    makeMemoryPresent();
    let used = cpuOf(registry.pid);
    times.up.push(await timeOf(() => upload(registry.port)));
    cpu.up = (cpuOf(registry.pid) - used) / 1e6;
    if (sendfile !== undefined) times.sendfile.push(await timeOf(() => download(sendfile)));
    used = cpuOf(registry.pid);
    times.down.push(await timeOf(() => download(registry.port)));
    cpu.down = (cpuOf(registry.pid) - used) / 1e6;
  }
  if (openssl !== undefined) {
    report('1 GiB up, to openssl dgst -sha256', times.up, times.openssl, {
      parts: { 'registry CPU s': cpu.up },
      names: ['upload', 'openssl'],
      goal: 0.45,
    });
  }
  if (sendfile !== undefined) {
    report('1 GiB down, to sendfile(2)', times.down, times.sendfile, {
      parts: { 'registry CPU s': cpu.down },
      names: ['download', 'sendfile'],
      goal: 0.8,
    });
  }
}

function report(
  what: string,
  ours: number[],
  limit: number[],
  { parts, names, goal }: { parts: Record<string, number>; names: [string, string]; goal: number },
): void {
  const rate = (seconds: number[]) => SIZE / MIB / spread(seconds).ratio;
  printResult({
    what,
    ...spread(ours.map((seconds, i) => (limit[i] ?? NaN) / seconds)),
    parts: { [`${names[0]} MiB/s`]: rate(ours), [`${names[1]} MiB/s`]: rate(limit), ...parts },
    goal: `>= ${goal}`,
    better: 'higher',
  });
}

async function timeOf(work: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
}

async function hashByOpenssl(): Promise<void> {
  const { status, stdout } = spawnSync('openssl', ['dgst', '-sha256', file], { encoding: 'utf8' });
  if (status !== 0 || !stdout.includes(digest.slice('sha256:'.length))) throw new Error('openssl');
}

/**
 * A virtual machine gives memory that is free back to its host after some seconds, and then pays several times over for
 * writing to it. So as much as an upload needs is written to, and freed, just before.
 */
function makeMemoryPresent(): void {
  const scratch = join(folder, 'scratch');
  const descriptor = openSync(scratch, 'w');
  const part = Buffer.alloc(16 * MIB, 1);
  for (let written = 0; written < SIZE + 256 * MIB; written += part.length) {
    writeSync(descriptor, part);
  }
  closeSync(descriptor);
  rmSync(scratch);
}

/** One PUT with all bytes: the file is read 1 MiB at a time and given to the socket as it takes it. */
async function upload(port: number): Promise<void> {
  const url = `http://127.0.0.1:${port}`;
  const begun = await fetch(`${url}/api/v1/blobs/uploads`, { method: 'POST' });
  const location = begun.headers.get('location') ?? '';
  await begun.arrayBuffer();
  const socket = await connected(port);
  const answer = new Promise<string>((resolve, reject) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.once('end', () => resolve(text));
    socket.once('error', reject);
  });
  socket.write(
    `PUT ${location}?digest=${digest} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: close\r\n` +
      `content-type: application/octet-stream\r\ncontent-length: ${SIZE}\r\n\r\n`,
  );
  const source = await open(file);
  try {
    // Two buffers: one is filled while the other is on its way.
    const buffers = [Buffer.allocUnsafe(MIB), Buffer.allocUnsafe(MIB)];
    let sending = Promise.resolve();
    for (let offset = 0, i = 0; offset < SIZE; offset += MIB, i++) {
      const buffer = buffers[i % 2] ?? Buffer.alloc(0);
      await source.read(buffer, 0, MIB, offset);
      await sending;
      sending = new Promise((resolve, reject) => {
        socket.write(buffer, (error) => (error ? reject(error) : resolve()));
      });
    }
    await sending;
  } finally {
    await source.close();
  }
  const text = await answer;
  if (!text.startsWith('HTTP/1.1 201')) throw new Error(text);
}

/** One GET; the bytes are counted and thrown away. */
async function download(port: number): Promise<void> {
  let received = 0;
  let head = '';
  const buffer = Buffer.allocUnsafe(MIB);
  await new Promise<void>((resolve, reject) => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      onread: {
        buffer,
        callback: (length) => {
          if (received === 0) head = buffer.toString('latin1', 0, Math.min(length, 2000));
          received += length;
          return true;
        },
      },
    });
    socket.once('connect', () => {
      socket.write(
        `GET /api/v1/blobs/${digest} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: close\r\n\r\n`,
      );
    });
    socket.once('end', resolve);
    socket.once('error', reject);
  });
  const headLength = head.indexOf('\r\n\r\n') + 4;
  if (!head.startsWith('HTTP/1.1 200') || received !== headLength + SIZE) {
    throw new Error(`${received} bytes came: ${head.slice(0, 200)}`);
  }
}

function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}
