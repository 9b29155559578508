import { DamagedModel, UnsupportedModel } from '../importer.js';
import { Budget, type BudgetLimits } from './budget.js';
import { opcodes } from './opcodes.js';
import { CutOff, type GlobalUse, PickleMachine, type SiblingFile } from './pickle-machine.js';
export type { GlobalUse } from './pickle-machine.js';
import type { PyValue } from './records.js';

export interface Pickled {
  root: PyValue;
  /** Every class and function that the file names, also where nothing uses it. */
  globals: GlobalUse[];
}

export interface ReadOptions {
  /** Where the pickle begins; 0 by default. */
  start?: number;
  limits?: Partial<BudgetLimits>;
  /** Of the pickles that come before in the same file. */
  budget?: Budget;
  /** Names are gathered here, so that they are known of a pickle that does not end as well. */
  globals?: Map<string, GlobalUse>;
  /** Files beside this one, for joblib before 0.10: by the name that the pickle gives. */
  sibling?: SiblingFile;
}

/** A pickle, and where the next one would begin. */
export interface PickledPart extends Pickled {
  end: number;
}

/**
 * Reads a pickle of protocol 0 to 5 as data: a stack machine after CPython's `pickletools` and `_pickle.c` that calls and
 * imports nothing. Arrays are views of `bytes`. Extension codes and out-of-band buffers are refused.
 * Throws DamagedModel with the opcode and the position.
 */
export function readPickle(bytes: Uint8Array, options: ReadOptions = {}): PickledPart {
  const budget = options.budget ?? new Budget(bytes.length, options.limits);
  const globals = options.globals ?? new Map<string, GlobalUse>();
  const machine = new PickleMachine(bytes, options.start ?? 0, { budget, globals, ...options });
  const root = run(machine);
  return { root, globals: [...globals.values()], end: machine.position };
}

/** Runs until STOP. A pickle inside this one (an array of objects of joblib) runs as a frame of the same loop. */
function run(outermost: PickleMachine): PyValue {
  let machine = outermost;
  let opcode = 0;
  let start = machine.position;
  try {
    for (;;) {
      start = machine.position;
      opcode = machine.nextOpcode();
      opcodes[opcode]?.run(machine);
      if (machine.inner) {
        machine = machine.inner;
      } else if (machine.stopped) {
        if (machine === outermost) return machine.result();
        machine = machine.returnToOuter();
      }
    }
  } catch (error) {
    throw located(error, opcodes[opcode]?.name ?? `0x${opcode.toString(16)}`, start);
  }
}

function located(error: unknown, opcode: string, position: number): unknown {
  const where = `Pickle, ${opcode} at byte ${position}`;
  if (error instanceof CutOff) return new CutOff(`${where}: ${error.message}`);
  if (error instanceof DamagedModel) return new DamagedModel(`${where}: ${error.message}`);
  if (error instanceof UnsupportedModel) return new UnsupportedModel(`${where}: ${error.message}`);
  // What JavaScript itself has no room for: a text beyond 512 MiB, a list beyond 2^32.
  if (error instanceof RangeError) return new DamagedModel(`${where}: ${error.message}`);
  return error;
}
