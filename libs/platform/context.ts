/** Who asks, and where: goes through every call of a service. */
export interface RequestContext {
  /** `local`, `token`, or the name that the caller gave in `X-Slipway-Actor`. */
  actor: string;
  /** False where the name is only what the caller says. */
  actorVerified: boolean;
  workspace: string;
  /** Id of the request in logs and in `x-request-id`. */
  trace: string;
}

/** The context of work that no request asked for: migrations, garbage collection, compile jobs. */
export const systemContext: RequestContext = {
  actor: 'slipway',
  actorVerified: true,
  workspace: 'default',
  trace: '-',
};
