import { ProgramError } from './program-error.js';
import type { Program } from './program.js';
import type { Signature } from './tensor.js';

/** The signatures of a model that names them. */
export interface Signatures {
  /** The one that a request without a choice gets; without it the only one, or none where there are several. */
  default?: string;
  named: Record<string, Signature>;
  /** Those that the model has but that cannot be run, and why. */
  refused?: Record<string, string>;
  /** What TensorFlow shows of them, refused ones included. */
  tensorflow?: TensorFlowSignatures;
}

/** What `saved_model_cli show --all` shows. */
export interface TensorFlowSignatures {
  /** Of the meta graph that was taken, such as `serve`. */
  tags: string[];
  signatures: Record<string, TensorFlowSignature>;
}

export interface TensorFlowSignature {
  /** Such as `tensorflow/serving/predict`. */
  methodName: string;
  inputs: TensorFlowTensor[];
  outputs: TensorFlowTensor[];
}

export interface TensorFlowTensor {
  /** What requests call it. */
  name: string;
  /** Such as `DT_FLOAT`. */
  dtype: string;
  /** −1 is a free dimension; null: of any rank. */
  shape: number[] | null;
  /** What the graph calls it, such as `serving_default_x:0`. */
  tensor: string;
}

/** What a Program calls the inputs of a named signature. */
export function inputName(signature: string, input: string): string {
  return `${signature}/in/${input}`;
}

/** What a Program calls the outputs of a named signature. */
export function outputName(signature: string, output: string): string {
  return `${signature}/out/${output}`;
}

/** The signature that a request is about, and its name where the model's signatures have names. */
export interface ChosenSignature {
  name?: string;
  signature: Signature;
}

/** What a request without a choice means, and what models whose signatures have no names may be asked for. */
const DEFAULT = 'serving_default';
const POINTER = '/parameters/signature_name';
const MOST_LISTED = 50;

/**
 * The signature that a request asks for, or the default one. Throws ProgramError (INVALID_INPUT) where there is none of the
 * name, where several are and none is the default, and with the reason where it cannot be run.
 */
export function chooseSignature(
  { signature, signatures }: Pick<Program, 'signature' | 'signatures'>,
  asked?: string,
): ChosenSignature {
  if (!signatures) {
    if (asked === undefined || asked === DEFAULT) return { signature };
    throw ProgramError.input(
      POINTER,
      `There is no signature ${quoted(asked)}: this model has only one, without a name. Leave signature_name out.`,
    );
  }
  const { named, refused = {} } = signatures;
  const all = [...Object.keys(named), ...Object.keys(refused)];
  const name = asked ?? signatures.default ?? (all.length === 1 ? all[0] : undefined);
  if (name === undefined)
    throw ProgramError.input(
      POINTER,
      `This model has no default signature. Say which of these you mean by "parameters": {"signature_name": "…"}: ${listed(all)}.`,
    );
  const found = Object.hasOwn(named, name) ? named[name] : undefined;
  if (found) return { name, signature: found };
  const reason = Object.hasOwn(refused, name) ? refused[name] : undefined;
  if (reason !== undefined)
    throw ProgramError.input(
      POINTER,
      `The signature ${quoted(name)} cannot be run: ${reason} ${others(Object.keys(named))}`,
    );
  throw ProgramError.input(
    POINTER,
    `There is no signature ${quoted(name)}. The signatures are ${listed(all)}.`,
  );
}

function others(names: string[]): string {
  return names.length > 0 ? `Those that can are ${listed(names)}.` : 'None of this model can.';
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}

function listed(names: string[]): string {
  const shown = names.slice(0, MOST_LISTED).map(quoted).join(', ');
  return names.length > MOST_LISTED ? `${shown} and ${names.length - MOST_LISTED} more` : shown;
}
