import type { OpRule } from '../op-rule.js';
import { calls } from './calls.js';
import { constants } from './constants.js';
import { control } from './control.js';
import { lists } from './lists.js';

/** How each operation of TensorFlow is said, by its name. What is not here is refused by name. */
export const opRules: ReadonlyMap<string, OpRule> = new Map(
  [calls, constants, control, lists].flatMap((rules) => Object.entries(rules)),
);
