import { describe, expect, test } from '@jest/globals';
import { bindInputs, bindOutputs, compareTensors, loadProgram, type Program } from '#program';
import { nodeOnnxBackend, onnxImporter } from '#formats';
import { onnxFixtures, uploadOf, type OnnxFixture } from '../../../test/support/onnx-fixtures.js';

async function load(fixture: OnnxFixture) {
  const files = uploadOf(fixture);
  const verdict = await onnxImporter.compile(files, {});
  if (verdict.state !== 'servable') throw new Error(verdict.reason);
  const program = JSON.parse(JSON.stringify(verdict.program)) as Program;
  const contents = new Map<string, Uint8Array>();
  for (const [path, uploaded] of verdict.files ?? []) {
    const file = files.find((candidate) => candidate.path === uploaded);
    if (file) contents.set(path, await file.read());
  }
  const onnx = await nodeOnnxBackend();
  return loadProgram(program, verdict.weights, { files: contents, onnx });
}

describe('answers of ONNX models', () => {
  const fixtures = onnxFixtures('plain');
  test('there are fixtures', () => expect(fixtures.length).toBeGreaterThan(1));

  test.each(fixtures.map((fixture) => [fixture.name, fixture] as const))('%s', async (_, fixture) => {
    const runtime = await load(fixture);
    for (const { inputs, expected, tolerance } of fixture.cases) {
      const bound = bindInputs(runtime, inputs, { maxRows: 100_000 });
      const got = await runtime.run(bound, bindOutputs(runtime));
      expect(compareTensors(got, expected, tolerance)).toBeUndefined();
      for (const { name, parameters } of expected)
        expect(got.find((tensor) => tensor.name === name)?.parameters).toEqual(parameters);
    }
    await runtime.close();
  });
});
