import type {
  InferRequest,
  InferResponse,
  InferTensor,
  ModelVersion,
  Server,
  TensorSpec,
  VersionReference,
} from './resources.js';
import { SlipwayError } from './slipway-error.js';
import type { Nested, NestedOutput } from './tensors.js';
import { decodeOutputs, encodeInputs } from './tensors.js';
import type { Transport } from './transport.js';

export interface InferOptions {
  /** Any servable version; without it the one answers that serving follows. */
  version?: VersionReference;
  signal?: AbortSignal;
}

export interface PredictOptions extends InferOptions {
  /** Which of the model's signatures; without it the default one. */
  signature?: string;
  /** Names of the outputs wanted; without it those that the model gives by default. */
  outputs?: string[];
  parameters?: Record<string, unknown>;
  id?: string;
}

/** Nested arrays by the name of the input, one nested array for a model with one input, or V2 tensors. */
export type PredictionInputs = Record<string, Nested> | Nested[] | InferTensor[];

export interface Prediction {
  outputs: Record<string, NestedOutput>;
  /** The version that answered. */
  version: number;
  raw: InferResponse;
}

export interface PredictionTarget {
  transport: Transport;
  /** The address of the registry, without a slash at its end. */
  url: string;
  /** Where predictions are answered, where the caller knows it better than the registry. */
  servingUrl: string | undefined;
  /** `registry` sends predictions through the registry's port, for browsers that reach only that. */
  through: 'serving' | 'registry';
}

/** Asks for predictions and remembers what the inputs of a model are. */
export class Predictor {
  #servingUrl: Promise<string> | undefined;
  readonly #specs = new Map<string, TensorSpec[]>();

  constructor(private readonly target: PredictionTarget) {}

  async infer(
    name: string,
    request: InferRequest,
    { version, signal }: InferOptions = {},
  ): Promise<InferResponse> {
    const url = `${await this.#modelUrl(name, version, signal)}/infer`;
    const call = { method: 'POST', json: request, repeatable: true, signal } as const;
    return this.target.transport.json<InferResponse>(url, call);
  }

  async predict(
    name: string,
    inputs: PredictionInputs,
    options: PredictOptions = {},
  ): Promise<Prediction> {
    if (isTensors(inputs)) return this.#ask(name, inputs, options);
    const key = JSON.stringify([name, options.version ?? null, options.signature ?? null]);
    const known = this.#specs.get(key);
    if (known) {
      try {
        return await this.#ask(name, encodeInputs(named(inputs, known), known), options);
      } catch (error) {
        // Another version with other inputs may answer by now.
        if (!(error instanceof SlipwayError) || error.status !== 400) throw error;
        const fresh = await this.inputs(name, options);
        if (JSON.stringify(fresh) === JSON.stringify(known)) throw error;
      }
    }
    const specs = await this.inputs(name, options);
    this.#specs.set(key, specs);
    return this.#ask(name, encodeInputs(named(inputs, specs), specs), options);
  }

  async #ask(name: string, inputs: InferTensor[], options: PredictOptions): Promise<Prediction> {
    const { id, signature, version, signal } = options;
    const parameters =
      signature === undefined
        ? options.parameters
        : { ...options.parameters, signature_name: signature };
    const outputs = options.outputs?.map((output) => ({ name: output }));
    const request: InferRequest = {
      ...(id === undefined ? {} : { id }),
      inputs,
      ...(outputs ? { outputs } : {}),
      ...(parameters ? { parameters } : {}),
    };
    const where = {
      ...(version === undefined ? {} : { version }),
      ...(signal ? { signal } : {}),
    };
    const raw = await this.infer(name, request, where);
    return { outputs: decodeOutputs(raw.outputs), version: Number(raw.model_version), raw };
  }

  /** What a prediction takes. */
  async inputs(
    name: string,
    { version, signature, signal }: PredictOptions = {},
  ): Promise<TensorSpec[]> {
    const { transport, url, through } = this.target;
    const call = { signal };
    if (through === 'serving') {
      const at = await this.#modelUrl(name, version, signal);
      const metadata = await transport.json<Metadata>(at, call);
      const named =
        signature === undefined ? undefined : metadata.parameters?.signatures?.[signature];
      return ((named ?? metadata).inputs ?? []).map((input) => specOf(input));
    }
    const model = `${url}/api/v1/models/${encodeURIComponent(name)}`;
    const followed = async () => {
      const { serving } = await transport.json<{ serving: { answering: number | null } }>(
        model,
        call,
      );
      return serving.answering ?? 'latest';
    };
    const wanted = encodeURIComponent(version ?? (await followed()));
    const answer = await transport.json<ModelVersion>(`${model}/versions/${wanted}`, call);
    const named = signature === undefined ? undefined : answer.signatures?.named[signature];
    return (named ?? answer.signature)?.inputs ?? [];
  }

  async #modelUrl(
    name: string,
    version: VersionReference | undefined,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const { url, through } = this.target;
    const base = through === 'registry' ? `${url}/api/v1` : `${await this.#serving(signal)}/v2`;
    const path = `/models/${encodeURIComponent(name)}`;
    return base + path + (version === undefined ? '' : `/versions/${encodeURIComponent(version)}`);
  }

  async #serving(signal: AbortSignal | undefined): Promise<string> {
    const { transport, url, servingUrl } = this.target;
    if (servingUrl !== undefined) return servingUrl;
    const known = (this.#servingUrl ??= transport
      .json<Server>(`${url}/api/v1/server`, { signal })
      .then((server) => reachable(server.servingUrl, url)));
    try {
      return await known;
    } catch (error) {
      this.#servingUrl = undefined;
      throw error;
    }
  }
}

/**
 * The serving address as it can be reached from here: a server that listens on all addresses, or only knows itself as
 * localhost, is where we found its registry.
 */
function reachable(servingUrl: string, url: string): string {
  const serving = new URL(servingUrl);
  const { hostname } = new URL(url);
  const everywhere = ['0.0.0.0', '[::]'].includes(serving.hostname);
  const itself = ['localhost', '127.0.0.1', '[::1]'].includes(serving.hostname);
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  if (everywhere || (itself && !local)) serving.hostname = hostname;
  return serving.href.replace(/\/+$/, '');
}

/** What the serving port tells of a model. */
interface Metadata {
  inputs?: InferTensor[];
  parameters?: { signatures?: Record<string, { inputs: InferTensor[] }> };
}

function isTensors(inputs: PredictionInputs): inputs is InferTensor[] {
  if (!Array.isArray(inputs) || inputs.length === 0) return false;
  return inputs.every(
    (input) => typeof input === 'object' && input !== null && 'datatype' in input,
  );
}

/** An array without a name is the only input; where a model has one for each column, rows of all are its input `X`. */
function named(
  inputs: Record<string, Nested> | Nested[],
  specs: TensorSpec[],
): Record<string, Nested> {
  if (!Array.isArray(inputs)) return inputs;
  const [only, ...others] = specs;
  return { [only && others.length === 0 ? only.name : 'X']: inputs };
}

function specOf({ name, datatype, shape }: InferTensor): TensorSpec {
  return { name, dtype: datatype, shape: shape.map(Number) };
}
