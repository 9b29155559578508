/** Which call fails, and how. */
export interface FaultPlan {
  /** From 1. */
  nth: number;
  /** Whether what was asked for has happened all the same, so that only its answer is lost. */
  effect: 'before' | 'after';
  /** `cut` breaks the connection; anything else is a code of the server or of the operating system. */
  kind: string;
  /** How many calls fail from the nth on; 1 unless said otherwise. */
  times?: number;
}

export interface FaultOutcome {
  /** What was called since the plan was made, in order. */
  calls: string[];
  /** Whether the plan's call came. */
  reached: boolean;
}

/** Counts calls, and says which of them are to fail. */
export class FaultCounter {
  private plan: FaultPlan | undefined;
  private calls: string[] = [];

  /** Begins to count. Without a plan nothing fails. */
  arm(plan?: FaultPlan): void {
    this.plan = plan ?? { nth: Infinity, effect: 'before', kind: 'cut' };
    this.calls = [];
  }

  disarm(): FaultOutcome {
    const { plan, calls } = this;
    this.plan = undefined;
    return { calls, reached: plan !== undefined && calls.length >= plan.nth };
  }

  /** To be asked at every call. @returns the plan where this call is to fail by it */
  next(call: string): FaultPlan | undefined {
    const { plan } = this;
    if (!plan) return undefined;
    const number = this.calls.push(call);
    return number >= plan.nth && number < plan.nth + (plan.times ?? 1) ? plan : undefined;
  }
}
