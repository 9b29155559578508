import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, '.cache', 'bench-python');
/** CatBoost has a folder of its own: it needs much that the others do not. */
const CATBOOST = {
  folder: join(ROOT, '.cache', 'bench-catboost'),
  packages: [
    'catboost==1.2.10',
    'graphviz==0.21',
    'numpy==2.4.6',
    'pandas==3.1.1',
    'python-dateutil==4.0.0',
    'scipy==1.17.1',
    'six==1.17.0',
  ],
  imports: 'import catboost',
};
/** The versions that made the golden outputs of the tests. */
const PACKAGES = [
  'xgboost==3.2.0',
  'lightgbm==4.7.0',
  'numpy==2.4.6',
  'scipy==1.17.1',
  'narwhals==2.29.0',
];

/** Everything that `bench/formats.ts` compares with; the converters to ONNX are for ONNX Runtime's part. */
const FORMATS = {
  folder: join(ROOT, '.cache', 'bench-formats'),
  packages: [
    ...new Set([...PACKAGES, ...CATBOOST.packages]),
    'scikit-learn==1.8.0',
    'joblib==1.6.0',
    'cloudpickle==3.1.2',
    'threadpoolctl==3.8.0',
    'treelite==4.8.1',
    'packaging==26.3',
    'skl2onnx==1.20.0',
    'onnxmltools==1.16.0',
    'onnxconverter-common==1.16.0',
    'onnx==1.23.2',
    'protobuf==7.36.2',
    'ml_dtypes==0.6.0',
    'typing_extensions==4.16.0',
  ],
  imports: 'import xgboost, lightgbm, catboost, sklearn, treelite, onnxmltools, skl2onnx',
};

const TREES = { folder: FOLDER, packages: PACKAGES, imports: 'import xgboost, lightgbm' };

const KINDS = { trees: TREES, catboost: CATBOOST, formats: FORMATS };

/** The versions of some of the packages that {@link benchPython} installs. */
export function packagesOf(...names: string[]): Record<string, string> {
  const versions = FORMATS.packages.map((pin) => pin.split('=='));
  return Object.fromEntries(
    names.map((name) => [name, versions.find(([known]) => known === name)?.[1] ?? '?']),
  );
}

/**
 * A Python with the tree libraries, with CatBoost, or with all, in `.cache`, made at the first call.
 * @returns its path; or why there is none, for the report of what was left out
 */
export function benchPython(
  kind: keyof typeof KINDS = 'trees',
): { python: string } | { reason: string } {
  const { folder, packages, imports } = KINDS[kind];
  const python = join(folder, 'bin', 'python');
  const works = () => spawnSync(python, ['-c', imports], { stdio: 'ignore' }).status === 0;
  if (existsSync(python) && works()) return { python };
  rmSync(folder, { recursive: true, force: true });
  process.stderr.write(`Installing ${packages.join(', ')} in ${folder}\n`);
  // Complete or not at all: a folder that was begun is made anew.
  const steps = [
    ['python3', '-m', 'venv', folder],
    // Without what they need for graphics processors.
    [python, '-m', 'pip', 'install', '--quiet', '--no-deps', ...packages],
  ];
  for (const [command = '', ...args] of steps) {
    const { status, error, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    if (status === 0) continue;
    const reason = error?.message ?? stderr.trim().split('\n').at(-1) ?? '';
    if (existsSync(folder)) renameSync(folder, `${folder}.failed`);
    rmSync(`${folder}.failed`, { recursive: true, force: true });
    return { reason: `${command} ${args.slice(0, 3).join(' ')}: ${reason}` };
  }
  return works() ? { python } : { reason: 'the installed libraries cannot be imported' };
}

/** A Python process that answers a line of JSON for each one that it is given. */
export class PythonProcess {
  private readonly child: ChildProcess;
  private readonly lines: Interface;
  private readonly ended: Promise<never>;

  /** @param script a file of this folder */
  constructor(python: string, script: string) {
    this.child = spawn(python, [join(ROOT, 'bench', script)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, OMP_NUM_THREADS: '1' },
    });
    if (!this.child.stdout) throw new Error('a pipe is missing');
    this.lines = createInterface(this.child.stdout);
    this.ended = new Promise((_, reject) => {
      this.child.once('exit', (code) => reject(new Error(`${script} ended with ${code}`)));
    });
    this.ended.catch(() => undefined);
  }

  async ask<T>(request: object): Promise<T> {
    let take: (line: string) => void = () => undefined;
    const answer = new Promise<string>((resolve) => {
      take = resolve;
      this.lines.once('line', take);
    });
    this.child.stdin?.write(`${JSON.stringify(request)}\n`);
    try {
      return JSON.parse(await Promise.race([answer, this.ended])) as T;
    } finally {
      this.lines.off('line', take);
    }
  }

  close(): void {
    this.child.stdin?.end();
  }
}
