import { expect } from '@jest/globals';
import { bindInputs, bindOutputs, compareTensors, type Program } from '#program';
import { compileNetwork, inTypesOf, tensorOf, type NetworkFixture } from './network-cases.js';
import type { ProgramRunner } from './program-runner.js';

/**
 * Compiles a model of layers in the compile process, runs all of its cases in another, as a server does, and expects its library's
 * answers. Outputs are compared by their order, since libraries call some of them otherwise. Answers the Program.
 */
export async function expectAnswers(
  runner: ProgramRunner,
  { name, folder, expected }: NetworkFixture,
): Promise<Program> {
  const { result, program, weights } = await compileNetwork(folder);
  if (!program || !weights) throw new Error(`${name} is ${result.state}: ${result.reason}`);
  await runner.load({ program, weights });
  const { signature } = program;
  const compared = [];
  for (const { name: title, inputs, outputs = {}, tolerance } of expected.cases ?? []) {
    const tensors = (written: typeof inputs, specs: { name: string }[]) =>
      Object.values(written).map((tensor, i) => tensorOf(folder, specs[i]?.name ?? '', tensor));
    const given = inTypesOf(tensors(inputs, signature.inputs), signature.inputs);
    const bound = bindInputs(program, given, { maxRows: 1e6 });
    const names = signature.outputs.map((output) => output.name);
    const got = await runner.run(bound, bindOutputs(program, names));
    const wanted = tensors(outputs, signature.outputs);
    const limits = tolerance ?? { rtol: 1e-5, atol: 1e-6 };
    compared.push({ case: title, ...compareTensors(got, wanted, limits) });
  }
  expect(compared.length).toBeGreaterThan(0);
  const greatest = compared.flatMap((one) => one.greatest?.message ?? []);
  process.stdout.write(`${name}: ${greatest.join('; ') || 'equal'}\n`);
  expect(compared.filter(({ equal }) => !equal)).toEqual([]);
  return program;
}
