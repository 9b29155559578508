import { Config, ConfigError, configWarnings, readConfig } from '#platform';
import { failure, ok, type Said, warning } from './finding.js';

/** The settings as far as they can be read, and which variables are wrong. */
export interface ReadSettings {
  config: Config | undefined;
  /** Names of variables. */
  wrong: Set<string>;
  said: Said[];
}

/**
 * Reads the settings, and reads them again without the wrong ones, so that what does not depend on these can still be
 * checked.
 */
export function readSettings(env: NodeJS.ProcessEnv): ReadSettings {
  const wrong = new Set<string>();
  const said: Said[] = configWarnings(env).map((line) =>
    warning(line, 'correct the name, or unset the variable'),
  );
  let left = { ...env };
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const config = readConfig(left);
      if (wrong.size === 0) said.unshift(ok(`every setting can be read (${placesOf(config)})`));
      return { config, wrong, said };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      for (const fault of error.faults) {
        const name = /^[A-Z0-9_]+/.exec(fault)?.[0] ?? '';
        // The bucket's keys are missing: without the bucket they are not.
        for (const cause of name.startsWith('S3_') ? [name, 'ARTIFACT_STORE'] : [name])
          wrong.add(cause);
        if (attempt === 0)
          said.push(failure(fault, `correct ${name} (docs/operations.md, Settings)`));
      }
      left = Object.fromEntries(Object.entries(left).filter(([name]) => !wrong.has(name)));
    }
  }
  return { config: undefined, wrong, said };
}

function placesOf({ DATABASE_URL, DATA_DIR, ARTIFACT_STORE }: Config): string {
  const database = DATABASE_URL ? 'PostgreSQL of DATABASE_URL' : 'embedded PostgreSQL';
  return `${database}, store ${ARTIFACT_STORE}, DATA_DIR ${DATA_DIR}`;
}
