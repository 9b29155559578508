import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { resolve, sep } from 'node:path';
import { FaultCounter, type FaultPlan } from './fault-plan.js';

/*
 * Preloaded (`node --import`) into a process under test: makes the nth call of the file system below a folder fail, before
 * or after its effect. Steered by the parent over the channel of the process; see `FileFaults` of faulty-registry.ts.
 */

/** What the parent says. */
export type FileFaultOrder =
  { fileFaults: 'arm'; under: string; plan?: FaultPlan } | { fileFaults: 'disarm' };

const counter = new FaultCounter();
let folder = '';
const paths = new WeakMap<object, string>();
const descriptors = new Map<number, string>();

type Call = (...args: unknown[]) => Promise<unknown>;
type Callback = (error: Error | null, ...values: unknown[]) => void;

process.on('message', (message: FileFaultOrder) => {
  if (message.fileFaults === 'arm') {
    folder = resolve(message.under);
    counter.arm(message.plan);
    process.send?.({ fileFaults: 'armed' });
  } else if (message.fileFaults === 'disarm') {
    process.send?.({ fileFaults: 'disarmed', outcome: counter.disarm() });
  }
});

const promises = fs.promises as unknown as Record<string, Call>;
for (const name of [
  'access',
  'copyFile',
  'link',
  'mkdir',
  'mkdtemp',
  'open',
  'readdir',
  'readFile',
])
  wrap(name);
for (const name of ['rename', 'rm', 'stat', 'truncate', 'unlink', 'writeFile']) wrap(name);
const probe = await fs.promises.open('/dev/null');
const handles = Object.getPrototypeOf(probe) as Record<string, Call>;
for (const name of ['datasync', 'read', 'stat', 'sync', 'truncate', 'write', 'writev'])
  wrapOfHandle(name);
await probe.close();
// What streams that open a file by its path use.
const callbacks = fs as unknown as Record<string, (...args: unknown[]) => void>;
for (const name of ['open', 'write', 'writev', 'close']) wrapCallback(name);
syncBuiltinESMExports();

function wrap(name: string): void {
  const act = promises[name];
  if (!act) throw new Error(`fs.promises has no ${name}`);
  promises[name] = async (...args) => {
    const path = String(args[0]);
    const result = await failing(name, path, () => act.apply(fs.promises, args));
    if (name === 'open') noteHandle(result as fs.promises.FileHandle, path);
    return result;
  };
}

function wrapOfHandle(name: string): void {
  const act = handles[name];
  if (!act) throw new Error(`FileHandle has no ${name}`);
  handles[name] = function (this: object, ...args) {
    const path = paths.get(this);
    const call = () => act.apply(this, args);
    return path === undefined ? call() : failing(`handle.${name}`, path, call);
  };
}

/** `close` belongs to each handle, not to their prototype. */
function noteHandle(handle: fs.promises.FileHandle, path: string): void {
  paths.set(handle, path);
  const close = handle.close.bind(handle);
  handle.close = () => failing('handle.close', path, close);
}

function wrapCallback(name: string): void {
  const act = callbacks[name];
  if (!act) throw new Error(`fs has no ${name}`);
  callbacks[name] = (...args) => {
    const [target] = args;
    const path = typeof target === 'number' ? descriptors.get(target) : String(target);
    const answer = args.at(-1) as Callback;
    const call = () =>
      new Promise<unknown[]>((done, fail) => {
        act.apply(fs, [
          ...args.slice(0, -1),
          ((error, ...values) => (error ? fail(error) : done(values))) satisfies Callback,
        ]);
      });
    if (path === undefined) return act.apply(fs, args);
    failing(`fs.${name}`, path, call).then(
      (values) => {
        const [first] = values as unknown[];
        if (name === 'open') descriptors.set(first as number, path);
        if (name === 'close') descriptors.delete(target as number);
        answer(null, ...(values as unknown[]));
      },
      (error: Error) => answer(error),
    );
  };
}

async function failing<T>(name: string, path: string, act: () => Promise<T>): Promise<T> {
  const absolute = resolve(path);
  const isBelow = absolute === folder || absolute.startsWith(folder + sep);
  const plan = isBelow
    ? counter.next(`${name} ${absolute.slice(folder.length, folder.length + 40)}`)
    : undefined;
  if (!plan) return act();
  // close(2) lets go of its descriptor in any case.
  if (plan.effect === 'after' || name.endsWith('close')) {
    const result = await act();
    if (name.endsWith('open')) await letGo(result);
  }
  const error = new Error(`${plan.kind}: injected, ${name} '${path}'`);
  throw Object.assign(error, {
    errno: plan.kind === 'ENOSPC' ? -28 : -5,
    code: plan.kind,
    syscall: name,
    path,
  });
}

/** An open that failed gives nothing that would have to be closed. */
async function letGo(opened: unknown): Promise<void> {
  if (Array.isArray(opened)) fs.closeSync(opened[0] as number);
  else await (opened as fs.promises.FileHandle).close();
}
