import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { type CompiledModel, compiledModel } from '../compiled-model.js';
import { OperationError } from '../failure.js';
import { bytesText, note, print, printJson } from '../output.js';

const HELP = `
program  a folder with program.json, weights.bin and what they name: predict with it by slipway predict --local, or in a browser
onnx     an ONNX graph: of a model that is ONNX the one that was uploaded, of trees and common scikit-learn pipelines one that is
         written here (opset 21, ai.onnx.ml 5); others are refused by the name of what ONNX cannot say. Infinite and missing
         numbers that the model's library refuses are computed with there

Examples
  slipway convert model.pkl --to program -o churn-program
  slipway convert churn-program --to onnx -o churn-onnx`;

const TARGETS = ['program', 'onnx'] as const;

export function addConvert(program: Command): void {
  program
    .command('convert')
    .description('compile a model on this machine, without a server, and write it as another form')
    .argument(
      '<files...>',
      'a model file, several that belong together, a folder of them, or a Program',
    )
    .requiredOption('--to <form>', TARGETS.join(' or '))
    .requiredOption('-o, --output <folder>', 'where to write it')
    .addHelpText('after', HELP)
    .action(async (files: string[], options: { to: string; output: string }, command: Command) => {
      const target = TARGETS.find((name) => name === options.to);
      if (!target) command.error(`error: --to is ${TARGETS.join(' or ')}.`);
      const model = await compiledModel(files);
      const written = target === 'onnx' ? await onnxOf(model) : programOf(model);
      for (const [path, bytes] of written) {
        const file = join(options.output, path);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, bytes);
      }
      const { format, importer } = model.program;
      const size = [...written.values()].reduce((sum, { length }) => sum + length, 0);
      if (command.optsWithGlobals<{ json?: boolean }>().json)
        return printJson({
          folder: options.output,
          format,
          importer,
          files: [...written.keys()],
          size,
        });
      note(`${model.name} (${format}): ${written.size} files, ${bytesText(size)}`);
      print(options.output);
    });
}

function programOf({ program, weights, files }: CompiledModel): Map<string, Uint8Array> {
  const document = new TextEncoder().encode(JSON.stringify(program));
  return new Map([['program.json', document], ['weights.bin', weights], ...files]);
}

/** The graph as it was uploaded, or one that is written from the Program. */
async function onnxOf(model: CompiledModel): Promise<Map<string, Uint8Array>> {
  const { name, program, files, uploaded } = model;
  const [only, ...others] = program.nodes;
  if (only?.kind === 'onnx' && others.length === 0) return files;
  // It was ONNX, and runs as kernels.
  if (program.format === 'onnx' && uploaded) {
    const read = [...uploaded].map(async ([path, file]) => [path, await readFile(file)] as const);
    return new Map(await Promise.all(read));
  }
  const { exportOnnx, UnsupportedModel } = await import('#formats');
  try {
    return new Map([['model.onnx', exportOnnx(program, model.weights)]]);
  } catch (error) {
    if (!(error instanceof UnsupportedModel)) throw error;
    throw new OperationError(
      `${name} (${program.format}): ${error.message} Use --to program.`,
      1,
      'FAILED_PRECONDITION',
    );
  }
}
