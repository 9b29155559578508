import { checkOnnxModel } from '../../libs/formats/onnx/onnx-checks.js';
import { bridgeGraph } from '../../libs/formats/onnx/onnx-bridging.js';
import { readOnnxModel } from '../../libs/formats/onnx/onnx-model.js';
import { hasIndependentRows } from '../../libs/formats/onnx/onnx-rows.js';
import { DamagedModel, UnsupportedModel, type UploadedFile } from '../../libs/formats/importer.js';
import { importers } from '../../libs/formats/importers.js';
import { loadProgram, ProgramError } from '#program';

/* Reads models of networks that may be damaged, for a test that watches over the time it takes. */

/** An upload: the bytes of each file. */
export interface NetworkQuestion {
  format: string;
  files: { path: string; bytes: Uint8Array }[];
}

/** `untyped` is a fault: an error that says nothing to the uploader. */
export interface NetworkAnswer {
  outcome: 'read' | 'unsupported' | 'failed' | 'untyped';
  reason: string;
}

process.on('message', (question: NetworkQuestion) => {
  void answer(question).then((reply) => process.send?.(reply));
});

async function answer({ format, files }: NetworkQuestion): Promise<NetworkAnswer> {
  const upload = files.map(({ path, bytes }) => uploaded(path, bytes));
  try {
    if (format === 'onnx') {
      readOnnx(files);
      return { outcome: 'read', reason: '' };
    }
    const importer = importers.find((candidate) => candidate.format === format);
    const verdict = await importer?.compile(upload, {});
    if (verdict?.state !== 'servable') {
      return { outcome: verdict?.state ?? 'untyped', reason: verdict?.reason ?? 'no importer' };
    }
    const { program } = verdict;
    // Graphs of ONNX are onnxruntime's to load, in the process that compiles.
    if (program.nodes.every(({ kind }) => kind !== 'onnx')) {
      await loadProgram(JSON.parse(JSON.stringify(program)), verdict.weights);
    }
    return { outcome: 'read', reason: '' };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (error instanceof UnsupportedModel) return { outcome: 'unsupported', reason };
    if (error instanceof DamagedModel || error instanceof ProgramError) {
      return { outcome: 'failed', reason };
    }
    return { outcome: 'untyped', reason: error instanceof Error ? `${error.stack}` : reason };
  }
}

/** All that is ours of the importer: onnxruntime, which is native, must not see a damaged graph in this process. */
function readOnnx(files: NetworkQuestion['files']): void {
  const main = files.find(({ path }) => path.endsWith('.onnx'));
  const model = readOnnxModel(main?.bytes ?? new Uint8Array());
  const { graph } = model;
  if (!main || !graph) throw new DamagedModel('The model has no graph.');
  const whole = { ...model, graph };
  const sizes = new Map(files.map(({ path, bytes }) => [path, bytes.length]));
  const external = checkOnnxModel(whole, main.path, sizes);
  const ports = bridgeGraph(
    whole,
    external.map(({ location }) => location),
  );
  hasIndependentRows(whole, ports);
}

function uploaded(path: string, bytes: Uint8Array): UploadedFile {
  const size = bytes.length;
  return {
    path,
    size,
    read: async (offset = 0, length = size) => bytes.slice(offset, offset + length),
  };
}
