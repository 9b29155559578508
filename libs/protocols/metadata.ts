import type { Signature, Signatures, TensorSpec } from '#program';

export interface TensorMetadata {
  name: string;
  datatype: string;
  shape: number[];
}

export interface ModelMetadata {
  name: string;
  versions?: string[];
  platform: string;
  inputs: TensorMetadata[];
  outputs: TensorMetadata[];
  /** Present where the model's signatures have names; clients of the protocol pass over what they do not know here. */
  parameters?: {
    /** The default one, which `inputs` and `outputs` show; absent where a request has to say which. */
    signature_name?: string;
    signatures: Record<string, Pick<ModelMetadata, 'inputs' | 'outputs'>>;
  };
}

/** Body of `GET /v2/models/{model}`: -1 is a free dimension, `platform` is `<project>_<format>`. */
export function modelMetadata(model: {
  name: string;
  versions?: readonly (number | string)[];
  format: string;
  signature: Signature;
  signatures?: Signatures | undefined;
}): ModelMetadata {
  return {
    name: model.name,
    ...(model.versions && { versions: model.versions.map(String) }),
    platform: PLATFORMS.get(model.format) ?? `slipway_${model.format.replaceAll('-', '_')}`,
    ...portsOf(model.signature),
    ...(model.signatures && { parameters: signaturesOf(model.signatures) }),
  };
}

function portsOf({ inputs, outputs }: Signature): Pick<ModelMetadata, 'inputs' | 'outputs'> {
  return { inputs: inputs.map(tensorMetadata), outputs: outputs.map(tensorMetadata) };
}

function signaturesOf({ default: standard, named }: Signatures): ModelMetadata['parameters'] {
  const names = Object.keys(named);
  const chosen = standard ?? (names.length === 1 ? names[0] : undefined);
  return {
    ...(chosen !== undefined && { signature_name: chosen }),
    signatures: Object.fromEntries(
      Object.entries(named).map(([name, signature]) => [name, portsOf(signature)]),
    ),
  };
}

/** Body of `GET /v2`. */
export function serverMetadata(version: string, extensions: readonly string[] = []) {
  return { name: 'slipway', version, extensions: [...extensions] };
}

/** Body of `GET /v2/health/live`. */
export function serverLive() {
  return { live: true };
}

/** Body of `GET /v2/health/ready`: the specification says `live` here too, KServe's client reads `ready`. */
export function serverReady(ready: boolean) {
  return { ready, live: true };
}

/** Body of `GET /v2/models/{model}/ready`. */
export function modelReady(name: string, ready: boolean) {
  return { name, ready };
}

/** Names that the protocol and Triton have given. */
const PLATFORMS = new Map([
  ['onnx', 'onnx_onnxv1'],
  ['saved-model', 'tensorflow_savedmodel'],
]);

function tensorMetadata({ name, dtype, shape }: TensorSpec): TensorMetadata {
  return { name, datatype: dtype, shape };
}
