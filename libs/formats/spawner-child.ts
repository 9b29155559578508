import type { Socket } from 'node:net';
import type { SpawnAnswer, SpawnOrder } from './spawner.js';
import { lastErrors, spawnCommand } from './started-process.js';

process.on('disconnect', () => process.exit());
process.on('message', (order: SpawnOrder) => start(order));
tell({ isUp: true });

function start({ id, command }: SpawnOrder): void {
  const child = spawnCommand(command);
  const { pid } = child;
  if (pid === undefined) {
    child.once('error', ({ message }) =>
      tell({ id, exit: { code: null, signal: null, errors: '', failure: message } }),
    );
    return;
  }
  const errors = lastErrors(child);
  const silent = new Promise((resolve) => child.stderr?.once('close', resolve));
  child.once('exit', (code, signal) => {
    void silent.then(() => tell({ id, exit: { code, signal, errors: errors() } }));
  });
  // The ends of the pipes leave this process with these.
  tell({ id, input: pid }, child.stdio[0] as Socket);
  tell({ id, channel: pid }, child.stdio[3] as Socket);
}

function tell(answer: SpawnAnswer, socket?: Socket): void {
  process.send?.(answer, socket);
}
