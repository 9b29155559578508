import type { OpRule } from '../op-rule.js';
import { calls } from './calls.js';
import { constants } from './constants.js';
import { refusals } from './refusals.js';
import { variables } from './variables.js';

/** How each operation of TensorFlow is said, by its name. What is not here is refused by name. */
export const opRules: ReadonlyMap<string, OpRule> = new Map(
  [calls, constants, refusals, variables].flatMap((rules) => Object.entries(rules)),
);
