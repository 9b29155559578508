/** A version as it is written in a path: a number, `@alias`, `production`, `staging` or `latest`. */
export type VersionReference = number | string;

export type Stage = 'None' | 'Staging' | 'Production' | 'Archived';
export type Tags = Record<string, string>;
export type Metadata = Record<string, unknown>;

export type DType =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP16'
  | 'BF16'
  | 'FP32'
  | 'FP64'
  | 'BYTES';

/** What a tensor must look like; `-1` is a free dimension. */
export interface TensorSpec {
  name: string;
  dtype: DType;
  shape: number[];
}

export interface Signature {
  inputs: TensorSpec[];
  outputs: TensorSpec[];
  defaultOutputs?: string[];
}

/** The signatures of a model that names them. */
export interface Signatures {
  /** The one that a request gets which names none. */
  default?: string;
  /** By `parameters.signature_name` of a request. */
  named: Record<string, Signature>;
  /** Those that cannot be run, and why. */
  refused?: Record<string, string>;
  /** What `saved_model_cli show --all` shows. */
  tensorflow?: { tags: string[]; signatures: Record<string, TensorFlowSignature> };
}

export interface TensorFlowSignature {
  /** Such as `tensorflow/serving/predict`. */
  methodName: string;
  inputs: TensorFlowTensor[];
  outputs: TensorFlowTensor[];
}

export interface TensorFlowTensor {
  name: string;
  /** Such as `DT_FLOAT`. */
  dtype: string;
  /** `null`: of any rank. */
  shape: number[] | null;
  /** What the graph calls it, such as `serving_default_x:0`. */
  tensor: string;
}

/** What the server is, where predictions are answered, and what it accepts. */
export interface Server {
  version: string;
  servingUrl: string;
  formats: string[];
  limits: Record<string, number>;
}

export interface ModelServing {
  wanted: number | null;
  /** The version that every serving process answers with; `null` while they differ or none answers. */
  answering: number | null;
  state: 'none' | 'loading' | 'ready' | 'failed' | 'quarantined' | 'unserved';
  reason?: string;
}

export interface Model {
  id: string;
  name: string;
  description: string;
  tags: Tags;
  metadata: Metadata;
  production: number | null;
  staging: number | null;
  aliases: Record<string, number>;
  latestVersion: number | null;
  versionCount: number;
  /** `production`, or the alias that serving follows, such as `@champion`. */
  follow: string;
  serving: ModelServing;
  createdBy: string;
  createdAt: string;
  updatedAt: string;
  etag: string;
}

/** Where the answers to golden rows are farthest from what was expected. */
export interface GoldenDifference {
  output: string;
  /** Indices into the output; absent where it is missing or its dtype or shape is another. */
  at?: number[];
  /** First index of `at`. */
  row?: number;
  expected?: number | string | null;
  got?: number | string | null;
  /** Of two finite numbers: `|got − expected|`, and that by `|expected|`. */
  absolute?: number;
  relative?: number;
  message: string;
}

/** Whether a version can answer predictions, and why not. */
export interface VersionServing {
  state: 'pending' | 'servable' | 'unsupported' | 'failed';
  reason?: string | null;
  format?: string | null;
  difference?: GoldenDifference;
  importer?: string | null;
  checkedAt?: string | null;
}

export interface Dataset {
  name: string;
  digest?: string;
  source?: string;
}

/** Where a version came from. */
export interface Origin {
  run?: string | null;
  datasets?: Dataset[];
  parents?: { model: string; version: number }[];
}

/** A tensor of the Open Inference Protocol in JSON. */
export interface InferTensor {
  name: string;
  datatype: DType;
  shape: number[];
  data: unknown[];
  parameters?: Record<string, unknown>;
}

/** A V2 infer request; with `expected` these are golden rows, which the server reproduces before a version is servable. */
export interface InputExample {
  inputs: InferTensor[];
  /** `signature_name` says which signature it is for. */
  parameters?: Record<string, unknown>;
  expected?: InferTensor[];
  tolerance?: { rtol?: number; atol?: number };
}

export interface ModelVersion {
  id: string;
  model: string;
  version: number;
  stage: Stage;
  aliases: string[];
  description: string;
  tags: Tags;
  metadata: Metadata;
  format: string | null;
  signature: Signature | null;
  /** `null` where the signatures of the model have no names. */
  signatures: Signatures | null;
  inputExample: InputExample | null;
  /** NaN and the infinities are `"NaN"`, `"Infinity"`, `"-Infinity"`. */
  metrics: Record<string, number | string>;
  params: Record<string, string>;
  lineage: Origin;
  /** `null` where the bytes are not held by this server. */
  files: { path: string; digest: string; size: number }[] | null;
  digest: string | null;
  size: number;
  serving: VersionServing;
  createdBy: string;
  createdAt: string;
  updatedAt: string;
  etag: string;
}

export interface ManifestFile {
  path: string;
  digest: string;
  size: number;
  /** Of files with a pickle in them: what loading them in Python would bring in. `names`: what is not known to be safe. */
  scan?: { verdict: 'safe' | 'code' | 'unreadable'; names: string[]; reason?: string };
}

export interface Manifest {
  digest: string | null;
  size: number;
  /** `null` where the bytes are not held by this server. */
  files: ManifestFile[] | null;
}

export interface Transition {
  id: number;
  kind: 'stage' | 'alias' | 'rollback';
  version: number | null;
  /** Stages, or an alias written `@champion`. */
  from: string | null;
  to: string | null;
  /** The version that held the stage or alias before. */
  previousVersion: number | null;
  reason: string;
  actor: string;
  /** False where the actor only says who it is. */
  actorVerified: boolean;
  at: string;
}

/** The answer to a promotion, a rollback or a moved alias. `transition` is null where nothing had to change. */
export interface Promotion {
  transition: Transition | null;
  model: Model;
  serving: 'ready' | 'loading' | 'failed' | 'unserved';
}

export interface LineageNode {
  /** What edges point to: `version:…`, `dataset:…`, `run:…`, `deployment:…`. */
  id: string;
  kind: string;
  /** How it is called: `iris/2`, the name of a data set, the id of a run. */
  name: string;
  /** Steps from where the walk began. */
  depth: number;
  model?: string;
  version?: number;
  stage?: string;
  deleted?: boolean;
  digest?: string;
  source?: string;
}

export interface LineageGraph {
  nodes: LineageNode[];
  edges: { from: string; to: string }[];
}

/** One serving process and what it does with a model. */
export interface ServingProcess {
  replica: string;
  process: number;
  wanted: number | null;
  answering: number | null;
  state: 'loading' | 'ready' | 'failed' | 'quarantined';
  reason?: string | null;
  since: string;
  heartbeatAt: string;
}

/** Requests of one version in one minute; latencies in milliseconds. */
export interface MinuteStats {
  minute: string;
  version: number;
  requests: number;
  errors: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

/** What garbage collection removed (or would remove, in a dry run). */
export interface Collected {
  blobs: number;
  uploads: number;
  bytes: number;
}

/** A blob whose stored bytes are not those of its digest. */
export interface DamagedBlob {
  digest: string;
  /** Bytes that it should have. */
  size: number;
  reason: 'missing' | 'size' | 'bytes' | 'unreadable';
  /** Versions that need it, 100 at most. `program`: made by compiling the version. */
  usedBy: { model: string; version: number; kind: 'file' | 'program'; path: string }[];
}

/** What comparing stored blobs with their digests has found. */
export interface Verified {
  checked: number;
  bytes: number;
  damaged: DamagedBlob[];
}

export interface SlipwayEvent {
  /** Pass it as `lastEventId` to go on after it. */
  id: string;
  kind: string;
  model?: string | null;
  version?: number | null;
  data?: Record<string, unknown>;
  actor?: string;
  at?: string;
}

/** A V2 infer request. */
export interface InferRequest {
  id?: string;
  inputs: InferTensor[];
  outputs?: { name: string; parameters?: Record<string, unknown> }[];
  parameters?: Record<string, unknown>;
}

/** A V2 infer answer; INT64 elements beyond 2^53 are bigints. */
export interface InferResponse {
  model_name: string;
  model_version: string;
  id?: string;
  parameters?: Record<string, unknown>;
  outputs: InferTensor[];
}
