import { basename } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type BackendData, backendData, backendTests } from '../support/onnx-backend.js';
import type { BackendResult } from '../support/onnx-backend-child.js';
import { BackendRunner } from '../support/onnx-backend-runner.js';
import { progress, proofTimeout, report } from '../support/proof.js';

/*
 * The tests of the onnx package itself, a model and its answers for each operator, type and attribute: each is imported,
 * loaded and run, and gives what is expected, or onnxruntime-node, asked directly for the same, does not give it either.
 */

const PATIENCE_MS = 30_000;
const data = backendData();

describe('backend tests of ONNX', () => {
  if (data.length === 1) {
    process.stderr.write(
      '\nOf the backend tests of ONNX only a few: .ci/onnx-backend brings all.\n',
    );
  }

  it.each(data.map((part) => [part.title, part] as const))(
    '%s: answered, or beyond onnxruntime itself',
    async (title, part) => {
      const results = await runAll(part);
      const names = (outcome: BackendResult['outcome']) =>
        results.filter((result) => result.outcome === outcome).map(({ name }) => name);
      report(`backend tests of ${title}`, {
        tests: results.length,
        passed: names('passed').length,
        'not answered by onnxruntime': names('refused').length,
        'answered by onnxruntime with other values': names('differs').length,
        failed: names('failed').length,
      });
      expect(results.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
      expect(names('passed').length).toBeGreaterThan(results.length * 0.6);
    },
    proofTimeout,
  );
});

async function runAll(part: BackendData): Promise<(BackendResult & { name: string })[]> {
  const runner = new BackendRunner(PATIENCE_MS);
  const results: (BackendResult & { name: string })[] = [];
  try {
    for (const folder of backendTests(part)) {
      const result = { name: basename(folder), ...(await runner.run(folder)) };
      results.push(result);
      const { name, outcome, ours = '', theirs = '' } = result;
      if (outcome !== 'passed')
        progress(`${outcome} ${name}\n  ours: ${ours}\n  theirs: ${theirs}`);
    }
  } finally {
    runner.close();
  }
  return results;
}
