/** A model's history and what it has led to. */
export interface ModelHistory {
  name: string;
  isDeleted: boolean;
  productionTop: number | null;
  versions: {
    version: number;
    stage: string;
    entered: number;
    revision: number;
    isDeleted: boolean;
    /** Changes that are told by events. */
    changes: number;
  }[];
  /** Oldest first. */
  transitions: {
    id: number;
    kind: 'stage' | 'alias' | 'rollback';
    alias: string | null;
    version: number | null;
    from: string | null;
    to: string | null;
    previousVersion: number | null;
    below: number | null;
  }[];
  aliases: Record<string, number>;
}

type Transition = ModelHistory['transitions'][number];

/**
 * Makes each transition of a model again, from the first: each must begin where the one before it has ended, and the last
 * must end where the model is now. @returns what does not fit
 */
export function replay(history: ModelHistory): string[] {
  const replayed = new Replay(history);
  for (const transition of history.transitions) replayed.take(transition);
  replayed.compare();
  return replayed.faults.map((fault) => `the model "${history.name}": ${fault}`);
}

class Replay {
  readonly faults: string[] = [];
  private readonly stages = new Map<number, { stage: string; entered: number; moves: number }>();
  private readonly aliases = new Map<string, { version: number | null; top: number }>();
  private readonly deleted: Set<number | null>;
  private top: number | null = null;

  constructor(private readonly history: ModelHistory) {
    const deleted = history.versions.filter(({ isDeleted }) => isDeleted);
    this.deleted = new Set(deleted.map(({ version }) => version));
  }

  take(transition: Transition): void {
    if (transition.alias === null) this.takeStage(transition);
    else this.takeAlias(transition, transition.alias);
  }

  compare(): void {
    const { history } = this;
    this.expect('the newest transition of Production', history.productionTop, this.top);
    for (const { version, stage, entered, revision, isDeleted, changes } of history.versions) {
      if (isDeleted) continue;
      const replayed = this.stageOf(version);
      this.expect(`version ${version} is in the stage`, stage, replayed.stage);
      this.expect(`version ${version} entered it by`, entered, replayed.entered);
      this.expect(`version ${version} has the revision`, revision, 1 + changes + replayed.moves);
    }
    if (history.isDeleted) return;
    const names = new Set([...this.aliases.keys(), ...Object.keys(history.aliases)]);
    for (const alias of names) {
      const version = this.aliases.get(alias)?.version ?? null;
      const expected = this.deleted.has(version) ? null : version;
      this.expect(`the alias ${alias} names`, history.aliases[alias] ?? null, expected);
    }
  }

  private takeStage({ id, kind, version, from, to, previousVersion, below }: Transition): void {
    if (version === null || to === null) return this.fault(`${id} names no version or stage`);
    const before = this.stageOf(version);
    this.expect(`${id} is from`, from, before.stage);
    this.expectHolder(id, previousVersion, this.holderOf(to));
    const touchesProduction = to === 'Production' || from === 'Production';
    if (touchesProduction && kind === 'stage') this.expect(`${id} is above`, below, this.top);
    if (to === 'Production') {
      for (const [other, { stage }] of this.stages) {
        // A deleted version keeps its stage.
        if (stage === 'Production' && other !== version && !this.deleted.has(other))
          this.move(other, 'Archived', id);
      }
    }
    this.move(version, to, id);
    if (touchesProduction) this.top = id;
  }

  private takeAlias(
    { id, kind, version, previousVersion, below }: Transition,
    alias: string,
  ): void {
    const before = this.aliases.get(alias);
    this.expectHolder(id, previousVersion, before?.version ?? null);
    if (kind === 'alias') this.expect(`${id} is above`, below, before?.top ?? null);
    this.aliases.set(alias, { version, top: id });
  }

  private stageOf(version: number): { stage: string; entered: number; moves: number } {
    return this.stages.get(version) ?? { stage: 'None', entered: 0, moves: 0 };
  }

  private move(version: number, stage: string, entered: number): void {
    this.stages.set(version, { stage, entered, moves: this.stageOf(version).moves + 1 });
  }

  private holderOf(wanted: string): number | null {
    const held = [...this.stages].filter(([, { stage }]) => stage === wanted);
    return held.sort(([, a], [, b]) => b.entered - a.entered)[0]?.[0] ?? null;
  }

  /** Whether a version was deleted before or after a transition, history does not say. */
  private expectHolder(id: number, previous: number | null, holder: number | null): void {
    if (!this.deleted.has(holder)) this.expect(`${id} replaced`, previous, holder);
  }

  private expect(what: string, actual: unknown, expected: unknown): void {
    if (actual !== expected)
      this.fault(`${what} ${String(actual)}, by the transitions before ${String(expected)}`);
  }

  private fault(what: string): void {
    this.faults.push(`transition ${what}`.replace(/^transition (the|version)/, '$1'));
  }
}
