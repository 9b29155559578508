import { categories } from './categories.js';
import { columns } from './columns.js';
import type { Kernel } from './kernel.js';
import { linear } from './linear.js';
import { links } from './links.js';
import { shapes } from './shapes.js';
import { trees } from './trees.js';

/** Every kernel by the name that programs use. A name never changes its meaning: a better rule gets a new name. */
export const kernels: ReadonlyMap<string, Kernel> = new Map(
  Object.entries({ ...links, ...linear, ...shapes, ...columns, ...categories, ...trees }),
);
