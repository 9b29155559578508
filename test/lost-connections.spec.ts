import { execFile } from 'node:child_process';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';

/** A PostgreSQL that ends each session with the bytes that say that it is ready, as one does that is told to stop just then. */
let server: Server;
let url: string;
let sessions = 0;

beforeAll(async () => {
  server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      sessions++;
      socket.end(Buffer.concat([authenticated(), ready(), terminated()]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `postgres://nobody@127.0.0.1:${(server.address() as AddressInfo).port}/none`;
});

afterAll(() => new Promise((resolve) => server.close(resolve)));

it.each([
  [
    'a pool',
    `const pool = openPool(process.env.URL);
     for (let i = 0; i < 20; i++) await pool.connect().then((c) => c.query('SELECT 1').finally(() => c.release())).catch(tell);
     await pool.end();`,
  ],
  [
    'TypeORM',
    `for (let i = 0; i < 20; i++) await openDataSource(databaseOptions(process.env.URL)).catch(tell);`,
  ],
])(
  'the loss of a connection at the moment at which %s gets it does not end the process',
  async (_, work) => {
    const before = sessions;
    const script = `
    import { databaseOptions, openDataSource, openPool } from '#database';
    let told = 0;
    const tell = () => told++;
    ${work}
    console.log(told);
    process.exit();`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', script],
      { cwd: fileURLToPath(new URL('../..', import.meta.url)), env: { ...process.env, URL: url } },
    );
    expect(stdout.trim()).toBe('20');
    expect(sessions - before).toBeGreaterThanOrEqual(20);
  },
);

function message(type: string, content: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(4 + content.length, 1);
  return Buffer.concat([head, content]);
}

function authenticated(): Buffer {
  return message('R', Buffer.alloc(4));
}

function ready(): Buffer {
  return message('Z', Buffer.from('I'));
}

function terminated(): Buffer {
  const fields = [
    'SFATAL',
    'VFATAL',
    'C57P01',
    'Mterminating connection due to administrator command',
  ];
  return message('E', Buffer.from(`${fields.join('\0')}\0\0`));
}
