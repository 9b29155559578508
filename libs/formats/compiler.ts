import { mkdtemp, mkdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Difference, Signature, Signatures } from '#program';
import { ContainedProcess, type ProcessEnd } from './contained-process.js';

/** An input example as it is stored: V2 tensors in JSON. With `expected` these are golden rows. */
export interface CompileExample {
  inputs: unknown[];
  /** `signature_name` says which signature it is for. */
  parameters?: Record<string, unknown>;
  expected?: unknown[];
  tolerance?: { rtol?: number; atol?: number };
}

export interface CompileRequest {
  /** The upload: path in the manifest, and the absolute path of the file on this machine. */
  files: { path: string; file: string }[];
  /** The format that the uploader named; absent: it is recognised. */
  format?: string | null;
  signature?: unknown;
  inputExample?: CompileExample | null;
  /** Where `program.json` and `weights.bin` are written; made if it is not there. A new temporary folder by default. */
  outputFolder?: string;
  limits?: CompileLimits;
  /** Ends the compile process; the call then fails with the signal's reason. */
  stop?: AbortSignal;
}

export interface CompileLimits {
  /** 60 s by default. */
  milliseconds?: number;
  /** Bytes; 2 GiB by default. */
  memory?: number;
}

/** Where the answers to golden rows are farthest from what was expected, also where that is near enough. */
export interface GoldenDifference extends Difference {
  /** First index of `at`. */
  row?: number;
  /** The two elements, where it is about one; integers beyond 2^53 and what JSON has no number for are text. */
  expected?: number | string | null;
  got?: number | string | null;
}

export interface CompileResult {
  state: 'servable' | 'unsupported' | 'failed';
  /** Why not; written for the uploader. */
  reason?: string;
  /** Null where nothing recognises the files. */
  format: string | null;
  /** `format@version`; null where there was none. */
  importer: string | null;
  signature?: Signature;
  signatures?: Signatures;
  difference?: GoldenDifference;
  /** Folder with `program.json` and `weights.bin`; the program's other files are the uploaded ones with these paths. */
  programFolder?: string;
  /** Process id of the compile process, where that ended without an answer; for the log. */
  lostProcess?: number;
}

/** What the compile process says while it works. */
export type CompileProgress =
  { phase: CompilePhase; format?: string; importer?: string } | { result: CompileResult };
export type CompilePhase = 'reading' | 'compiling' | 'loading' | 'running';

const LIMITS: Required<CompileLimits> = { milliseconds: 60_000, memory: 2 * 2 ** 30 };

/** Signatures and messages are small; a longer answer is not one of ours. */
const MAX_ANSWER = 16 * 2 ** 20;

const entry = fileURLToPath(new URL('./compile-child.js', import.meta.url));

/**
 * Compiles an upload to a Program, loads it, runs it once and compares golden rows: all of it in a child process with
 * limits, because files may be hostile and ONNX Runtime is native code. Every fault of the files is an answer, not an error.
 */
export async function compile({ stop, ...request }: CompileRequest): Promise<CompileResult> {
  stop?.throwIfAborted();
  const limits = { ...LIMITS, ...request.limits };
  const programFolder = request.outputFolder ?? (await mkdtemp(join(tmpdir(), 'slipway-program-')));
  await mkdir(programFolder, { recursive: true });
  const child = ContainedProcess.start({
    entry,
    memory: limits.memory,
    cwd: programFolder,
    background: true,
  });
  const conversation = new Conversation(child, limits);
  child.send({ ...request, outputFolder: programFolder });
  const end = () => child.kill('was stopped');
  stop?.addEventListener('abort', end);
  const result = await conversation.result;
  stop?.removeEventListener('abort', end);
  stop?.throwIfAborted();
  if (result.state !== 'servable') return result;
  await stat(join(programFolder, 'program.json'));
  return { ...result, programFolder };
}

/** Listens to the compile process until it has a result or has ended without one. */
class Conversation {
  readonly result: Promise<CompileResult>;
  private text = '';
  private phase: CompilePhase = 'reading';
  private format: string | null = null;
  private importer: string | null = null;
  private answer: CompileResult | undefined;

  constructor(
    private readonly child: ContainedProcess,
    private readonly limits: Required<CompileLimits>,
  ) {
    const seconds = limits.milliseconds / 1000;
    const timer = setTimeout(
      () => child.kill(`did not end within ${seconds} s`),
      limits.milliseconds,
    );
    child.channel.setEncoding('utf8').on('data', (text: string) => this.receive(text));
    this.result = new Promise((resolve) => {
      child.once('end', (end) => {
        clearTimeout(timer);
        resolve(this.answer ?? this.died(end));
      });
    });
  }

  private receive(text: string): void {
    this.text += text;
    if (this.text.length > MAX_ANSWER) {
      this.child.kill('gave an answer without end');
      return;
    }
    const lines = this.text.split('\n');
    this.text = lines.pop() ?? '';
    for (const line of lines) this.progress(JSON.parse(line) as CompileProgress);
  }

  private progress(progress: CompileProgress): void {
    if ('result' in progress) {
      this.answer = progress.result;
      this.child.kill('has answered');
      return;
    }
    this.phase = progress.phase;
    this.format = progress.format ?? this.format;
    this.importer = progress.importer ?? this.importer;
  }

  private died({ reason }: ProcessEnd): CompileResult {
    const doing = {
      reading: 'Reading the files',
      compiling: 'Reading the model',
      loading: 'Loading the model',
      running: 'The first run of the model',
    }[this.phase];
    const text = reason.startsWith('needed')
      ? `${doing} ${reason}; that is the limit.`
      : reason.startsWith('did not end')
        ? `${doing} ${reason}; that is the limit. A model may hold an endless loop, or be too large.`
        : `${doing} ended the process that did it: it ${reason}.`;
    const { format, importer } = this;
    return { state: 'failed', reason: text, format, importer, lostProcess: this.child.pid };
  }
}
