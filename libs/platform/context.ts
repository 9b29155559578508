/** Who asks, and where: goes through every call of a service. */
export interface RequestContext {
  /** `local`, `token`, or the name that the caller gave in `X-Slipway-Actor`. */
  actor: string;
  /** False where the name is only what the caller says. */
  actorVerified: boolean;
  workspace: string;
  /** Id of the request in logs and in `x-request-id`. */
  trace: string;
  /** Of a POST with an `Idempotency-Key`: the key, and a digest of the method, path and body it came with. */
  idempotency?: { key: string; request: string };
}

/** The context of work that no request asked for: migrations, garbage collection, compile jobs. */
export const systemContext: RequestContext = {
  actor: 'slipway',
  actorVerified: true,
  workspace: 'default',
  trace: '-',
};
