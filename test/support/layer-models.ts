import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compile } from '#formats';
import {
  bindInputs,
  bindOutputs,
  compareTensors,
  type Difference,
  type Program,
  type Tensor,
} from '#program';
import { dataOf } from '../../libs/formats/tensor-graph/known.js';
import type { ProgramRunner } from './program-runner.js';
import type { TensorFlowFixture } from './tensorflow-fixtures.js';

/** Models that are compiled in the compile process and run in another, as a server does. */
export class LayerModels {
  constructor(
    private readonly runner: ProgramRunner,
    private readonly folder: string,
  ) {}

  compile({ name, files }: Pick<TensorFlowFixture, 'name' | 'files'>) {
    return compile({ files, outputFolder: join(this.folder, name) });
  }

  /** Throws Error with the reason where the model is not servable. */
  async load(fixture: Pick<TensorFlowFixture, 'name' | 'files'>): Promise<Program> {
    const { state, reason, programFolder = '' } = await this.compile(fixture);
    if (state !== 'servable') throw new Error(`${fixture.name} is ${state}: ${reason}`);
    const text = await readFile(join(programFolder, 'program.json'), 'utf8');
    const program = JSON.parse(text) as Program;
    const weights = await readFile(join(programFolder, 'weights.bin'));
    await this.runner.load({ program, weights });
    return program;
  }

  /** All cases of a fixture; outputs are compared by their order, since libraries call some of them otherwise. */
  async differences(
    fixture: TensorFlowFixture,
  ): Promise<{ case: string; equal: boolean; greatest?: Difference }[]> {
    const program = await this.load(fixture);
    const all: { case: string; equal: boolean; greatest?: Difference }[] = [];
    for (const { name, inputs, expected = [], tolerance } of fixture.cases) {
      const { signature } = program;
      const given = inputs.map((tensor, i) => renamed(tensor, signature.inputs[i]));
      const bound = bindInputs(program, given, { maxRows: 1e6 });
      const names = signature.outputs.map((output) => output.name);
      const got = await this.runner.run(bound, bindOutputs(program, names));
      const wanted = expected.map((tensor, i) => ({ ...tensor, name: names[i] ?? tensor.name }));
      const { equal, greatest } = compareTensors(got, wanted, tolerance);
      all.push({ case: name, equal, ...(greatest && { greatest }) });
    }
    return all;
  }
}

function renamed(tensor: Tensor, spec: Pick<Tensor, 'name' | 'dtype'> | undefined): Tensor {
  const { name, dtype } = spec ?? tensor;
  if (dtype === tensor.dtype || Array.isArray(tensor.data)) return { ...tensor, name };
  return { ...tensor, name, dtype, data: dataOf(dtype, tensor.data) };
}
