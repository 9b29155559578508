import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compile } from '#formats';
import { bindInputs, bindOutputs, compareTensors, type Difference, type Program } from '#program';
import type { ProgramRunner } from './program-runner.js';
import { filesOf, inTypesOf, tensorOf, type NetworkFixture } from './network-cases.js';

/** Models that are compiled in the compile process and run in another, as a server does. */
export class LayerModels {
  constructor(
    private readonly runner: ProgramRunner,
    private readonly folder: string,
  ) {}

  /** Compiles it into the folder of its name. */
  compile({ name, folder }: NetworkFixture) {
    return compile({ files: filesOf(folder), outputFolder: join(this.folder, name) });
  }

  /** Throws Error with the reason where the model is not servable. */
  async load(fixture: NetworkFixture): Promise<Program> {
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
    fixture: NetworkFixture,
  ): Promise<{ case: string; equal: boolean; greatest?: Difference }[]> {
    const program = await this.load(fixture);
    const all: { case: string; equal: boolean; greatest?: Difference }[] = [];
    for (const { name, inputs, outputs = {}, tolerance } of fixture.expected.cases ?? []) {
      const { signature } = program;
      const tensors = (written: typeof inputs, specs: { name: string }[]) =>
        Object.values(written).map((tensor, i) =>
          tensorOf(fixture.folder, specs[i]?.name ?? '', tensor),
        );
      const given = inTypesOf(tensors(inputs, signature.inputs), signature.inputs);
      const bound = bindInputs(program, given, { maxRows: 1e6 });
      const names = signature.outputs.map((output) => output.name);
      const got = await this.runner.run(bound, bindOutputs(program, names));
      const wanted = tensors(outputs, signature.outputs);
      const { equal, greatest } = compareTensors(
        got,
        wanted,
        tolerance ?? { rtol: 1e-5, atol: 1e-6 },
      );
      all.push({ case: name, equal, ...(greatest && { greatest }) });
    }
    return all;
  }
}
