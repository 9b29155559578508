import type { DType, TensorData } from '#program';
import { Part } from '../document.js';
import { UnsupportedModel } from '../importer.js';
import type { GraphValue } from '../tensor-graph/tensor-graph.js';
import type { LayerModel } from './layer-model.js';

/** Which library wrote the configuration of a model; they differ in defaults, masks and names of weights. */
export interface Dialect {
  library: 'keras2' | 'keras3' | 'tfjs';
  /** Of Keras, such as `[3, 15]`. */
  version: readonly [major: number, minor: number];
}

/** An array of a weights file. */
export interface StoredWeight {
  dtype: DType;
  shape: number[];
  read(): TensorData;
}

/** A value on its way from layer to layer, with Keras's mask `[rows, steps]` if it has one. */
export class LayerTensor {
  constructor(
    readonly value: GraphValue,
    readonly mask?: GraphValue | undefined,
  ) {}
}

/** What a configuration says of one layer, and the weights of it. A layer that is called several times is one of these. */
export class Layer {
  /** Layers inside of it, by the attribute that Keras keeps them in and in the order in which Keras counts their weights. */
  readonly children = new Map<string, Layer>();
  /** By their names in Keras. */
  readonly weights = new Map<string, StoredWeight>();
  /** Constants that were made of its weights; shared by all calls. */
  readonly constants = new Map<string, GraphValue>();
  /** Where it is a model itself. */
  model?: LayerModel;
  /** Files beside the configuration that belong to it, such as vocabularies. */
  readonly assets = new Map<string, Uint8Array>();

  constructor(
    readonly className: string,
    readonly name: string,
    readonly config: Part,
    readonly dialect: Dialect,
  ) {}

  get label(): string {
    return `The layer ${JSON.stringify(this.name.slice(0, 200))} (${this.className.slice(0, 100)})`;
  }

  get isKeras3(): boolean {
    return this.dialect.library === 'keras3';
  }

  /** Whether an explicit version of Keras 3 wrote it, this one or a later one. */
  isKeras3Since(minor: number): boolean {
    return this.isKeras3 && this.dialect.version[1] >= minor;
  }

  unsupported(reason: string): never {
    throw new UnsupportedModel(`${this.label} is not supported: ${reason}.`);
  }

  /** Whether it is an operation (`keras.ops`) and no layer: these are not listed where weights are. */
  isOperation = false;

  /** What the configuration has under a name; undefined where that is absent or `null`. */
  has(name: string): Part | undefined {
    const part = this.config.optional(name);
    return part && part.value !== null ? part : undefined;
  }

  number(name: string, absent?: number): number {
    return this.has(name)?.number() ?? absent ?? this.config.field(name).number();
  }

  integer(name: string, absent?: number): number {
    const most = 2 ** 31 - 1;
    return (
      this.has(name)?.integer(-most, most) ?? absent ?? this.config.field(name).integer(-most, most)
    );
  }

  flag(name: string, absent: boolean): boolean {
    const part = this.has(name);
    if (!part) return absent;
    if (typeof part.value === 'boolean') return part.value;
    return part.number() !== 0;
  }

  text(name: string, absent?: string): string {
    return this.has(name)?.text() ?? absent ?? this.config.field(name).text();
  }

  /** Integers of a list, or of a single one that stands for all. */
  integers(name: string, length: number, absent?: number): number[] {
    const part = this.has(name);
    if (!part && absent !== undefined) return Array.from({ length }, () => absent);
    const given = part ?? this.config.field(name);
    const most = 2 ** 31 - 1;
    if (!Array.isArray(given.value))
      return Array.from({ length }, () => given.integer(-most, most));
    const list = given.list().map((item) => item.integer(-most, most));
    if (list.length === 1 && length > 1) return Array.from({ length }, () => list[0] ?? 0);
    return list.length === length ? list : given.damaged(`must have ${length} integers`);
  }

  /** `data_format`, as far as it is one of Keras's two. */
  get channelsFirst(): boolean {
    const format = this.text('data_format', 'channels_last').replace(
      /^channels([FL])/,
      (_, letter: string) => `channels_${letter.toLowerCase()}`,
    );
    if (format !== 'channels_first' && format !== 'channels_last')
      this.unsupported(`its data_format is ${JSON.stringify(format.slice(0, 40))}`);
    return format === 'channels_first';
  }

  /** The dtype that it computes in. */
  get dtype(): DType {
    return dtypeOf(this);
  }

  /** Whether its weights learn; decides the order in which they are saved. */
  get trainable(): boolean {
    return this.flag('trainable', true);
  }
}

const DTYPES: Record<string, DType> = {
  float16: 'FP16',
  bfloat16: 'BF16',
  float32: 'FP32',
  float64: 'FP64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  bool: 'BOOL',
  string: 'BYTES',
};

/** A dtype by the name that Keras gives it; undefined for others. */
export function dtypeNamed(name: string): DType | undefined {
  return Object.hasOwn(DTYPES, name) ? DTYPES[name] : undefined;
}

function dtypeOf(layer: Layer): DType {
  const part = layer.has('dtype');
  if (!part) return 'FP32';
  const named =
    typeof part.value === 'string'
      ? part
      : (part.optional('config')?.optional('name') ?? part.field('config'));
  const name = named.text();
  const dtype = dtypeNamed(name);
  return (
    dtype ??
    layer.unsupported(
      `its dtype policy is ${JSON.stringify(name.slice(0, 60))}, and only plain dtypes are`,
    )
  );
}

/** A part of a configuration that holds a layer: a class name and what it is made of. */
export function layerNamed(part: Part, dialect: Dialect): Layer {
  const className = part.field('class_name').text();
  const config = part.optional('config') ?? new Part({}, `${part.path}.config`);
  const own = config.has('name') ? config.optional('name') : part.optional('name');
  const name = typeof own?.value === 'string' ? own.value : className;
  const module = part.optional('module')?.value;
  const isOperation = typeof module === 'string' && /^keras\.(src\.)?ops(\.|$)/.test(module);
  const plain = className.replace(/^.*>/, '');
  const layer = new Layer(isOperation ? `ops.${plain}` : plain, name, config, dialect);
  layer.isOperation = isOperation || plain === 'TFOpLambda' || plain === 'SlicingOpLambda';
  return layer;
}
