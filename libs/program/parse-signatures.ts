import { DTYPES } from './dtype.js';
import type { JsonReader } from './json-reader.js';
import type { Signatures, TensorFlowSignature, TensorFlowTensor } from './signatures.js';
import type { DType, Signature, TensorSpec } from './tensor.js';

const MOST = { tensors: 100_000, rank: 32, signatures: 1000, tags: 100, reason: 10_000 } as const;

/** Checks a signature of `program.json`. */
export function parseSignature(at: JsonReader): Signature {
  const defaults = at.field('defaultOutputs');
  const signature: Signature = {
    inputs: parseSpecs(at.field('inputs')),
    outputs: parseSpecs(at.field('outputs')),
  };
  if (defaults.present) {
    signature.defaultOutputs = defaults.array(MOST.tensors).map((item) => {
      const name = item.string();
      return signature.outputs.some((output) => output.name === name)
        ? name
        : item.fail(`"${name}" is not an output`);
    });
  }
  return signature;
}

/** Checks the named signatures of `program.json`. */
export function parseSignatures(at: JsonReader): Signatures {
  const [standard, refused, tensorflow] = ['default', 'refused', 'tensorflow'].map((name) =>
    at.field(name),
  );
  const signatures: Signatures = {
    named: Object.fromEntries(
      at
        .field('named')
        .entries(MOST.signatures)
        .map(([name, signature]) => [plain(signature, name), parseSignature(signature)]),
    ),
  };
  if (refused?.present)
    signatures.refused = Object.fromEntries(
      refused
        .entries(MOST.signatures)
        .map(([name, reason]) => [
          plain(reason, name),
          Object.hasOwn(signatures.named, name)
            ? reason.fail('is of a signature that is not refused')
            : textOf(reason, MOST.reason),
        ]),
    );
  if (standard?.present) {
    const name = standard.string();
    const isKnown = [signatures.named, signatures.refused ?? {}].some((known) =>
      Object.hasOwn(known, name),
    );
    signatures.default = isKnown ? name : standard.fail(`"${name}" is not a signature`);
  }
  if (tensorflow?.present)
    signatures.tensorflow = {
      tags: tensorflow
        .field('tags')
        .array(MOST.tags)
        .map((tag) => textOf(tag)),
      signatures: Object.fromEntries(
        tensorflow
          .field('signatures')
          .entries(MOST.signatures)
          .map(([name, shown]) => [plain(shown, name), parseShown(shown)]),
      ),
    };
  return signatures;
}

function parseShown(at: JsonReader): TensorFlowSignature {
  const tensors = (name: string) => at.field(name).array(MOST.tensors).map(parseShownTensor);
  return {
    methodName: textOf(at.field('methodName')),
    inputs: tensors('inputs'),
    outputs: tensors('outputs'),
  };
}

function parseShownTensor(at: JsonReader): TensorFlowTensor {
  const shape = at.field('shape');
  return {
    name: textOf(at.field('name')),
    dtype: textOf(at.field('dtype')),
    shape: shape.isNull ? null : parseSizes(shape),
    tensor: textOf(at.field('tensor')),
  };
}

function parseSpecs(at: JsonReader): TensorSpec[] {
  const names = new Set<string>();
  return at.array(MOST.tensors).map((item) => {
    const name = textOf(item.field('name'));
    if (names.has(name)) item.fail(`the name "${name}" is used twice`);
    names.add(name);
    return {
      name,
      dtype: item.field('dtype').oneOf<DType>(DTYPES),
      shape: parseSizes(item.field('shape')),
      ...(item.field('sequence').present && item.field('sequence').boolean() && { sequence: true }),
      ...(item.field('optional').present && item.field('optional').boolean() && { optional: true }),
      ...(item.field('anyShape').present && item.field('anyShape').boolean() && { anyShape: true }),
    };
  });
}

function parseSizes(at: JsonReader): number[] {
  return at.array(MOST.rank).map((dimension) => dimension.integer(-1, 2 ** 40));
}

function textOf(at: JsonReader, most?: number): string {
  return plain(at, at.string(most));
}

/** Databases and ONNX Runtime take no others. */
function plain(at: JsonReader, text: string): string {
  return /[\0\p{Surrogate}]/u.test(text)
    ? at.fail('has a NUL or half of a surrogate pair in its name')
    : text;
}
