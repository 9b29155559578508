/**
 * The channels of PostgreSQL on which processes wake each other. A notification is a hint: the tables are the truth, and
 * whoever listens also looks by itself from time to time.
 */
export const channels = {
  /** A deployment, or what is quarantined, changed; serving looks. */
  serving: 'slipway_serving',
  /** What a serving process answers with changed; the payload is the model's id. */
  state: 'slipway_state',
  /** An event was written. */
  event: 'slipway_event',
  /** A version waits to be compiled. */
  compile: 'slipway_compile',
} as const;
