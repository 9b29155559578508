/** `[major, minor]` of the XGBoost that wrote a model. */
export type Version = readonly [major: number, minor: number];

/** The last version whose sources were read for what follows. */
export const LAST_VERSION: Version = [3, 4];

export function isSince(version: Version, [major, minor]: Version): boolean {
  return version[0] > major || (version[0] === major && version[1] >= minor);
}

/** What an objective of XGBoost does to margins. */
export interface Objective {
  /** How `base_score`, which is an answer, becomes a margin. */
  base: 'identity' | 'logit' | 'log';
  /** How margins become answers. */
  link: 'identity' | 'sigmoid' | 'exp' | 'softmax' | 'arg-max' | 'hinge' | 'sort';
  /** Answers are probabilities of classes, or of the second of two. */
  classifier?: true;
}

const SAME: Objective = { base: 'identity', link: 'identity' };
const POSITIVE: Objective = { base: 'log', link: 'exp' };

/** Objectives and their former names; one that is not here is refused. */
const OBJECTIVES: Record<string, (version: Version) => Objective> = {
  'reg:squarederror': () => SAME,
  'reg:linear': () => SAME,
  'reg:squaredlogerror': () => SAME,
  'reg:pseudohubererror': () => SAME,
  'reg:absoluteerror': () => SAME,
  // Since 3.4 quantiles that cross are put in order.
  'reg:quantileerror': (version) => (isSince(version, [3, 4]) ? { ...SAME, link: 'sort' } : SAME),
  'reg:logistic': () => ({ base: 'logit', link: 'sigmoid' }),
  'reg:gamma': () => POSITIVE,
  'reg:tweedie': () => POSITIVE,
  'count:poisson': () => POSITIVE,
  'survival:cox': () => POSITIVE,
  'survival:aft': () => POSITIVE,
  'binary:logistic': () => ({ base: 'logit', link: 'sigmoid', classifier: true }),
  // Since 1.3 the base score of raw margins is a margin too.
  'binary:logitraw': (version) => (isSince(version, [1, 3]) ? SAME : { ...SAME, base: 'logit' }),
  'binary:hinge': () => ({ base: 'identity', link: 'hinge' }),
  'multi:softprob': () => ({ base: 'identity', link: 'softmax', classifier: true }),
  'multi:softmax': () => ({ base: 'identity', link: 'arg-max', classifier: true }),
  'rank:pairwise': () => SAME,
  'rank:ndcg': () => SAME,
  'rank:map': () => SAME,
};

export function objectiveOf(name: string, version: Version): Objective | undefined {
  return Object.hasOwn(OBJECTIVES, name) ? OBJECTIVES[name]?.(version) : undefined;
}
