import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { StartError } from './exit.js';

/**
 * A port at which nothing listens now; `wanted` itself where it is not 0. Another program may take it before it is
 * used, which the caller then finds out.
 * @throws the error of `listen` where the wanted port is in use
 */
export function freePort(host: string, wanted = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port: wanted, host, exclusive: true }, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** What a port that cannot be opened means to the user. */
export function notListening(error: NodeJS.ErrnoException, port: number, host: string): Error {
  const reasons: Record<string, string> = {
    EADDRINUSE: 'it is in use by another program',
    EACCES: 'this user may not open it',
    EADDRNOTAVAIL: 'this machine has no such address',
    ENOTFOUND: 'the name is not known',
  };
  const reason = reasons[error.code ?? ''];
  return reason ? new StartError(`Cannot listen on ${host} port ${port}: ${reason}`) : error;
}
