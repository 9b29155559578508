import type { VersionReference } from '#sdk';
import { UsageError } from './failure.js';

/** What a person writes for a model or one of its versions. */
export interface Reference {
  name: string;
  version: VersionReference | undefined;
}

/**
 * Reads `NAME`, `NAME/version` and `NAME@alias`. A name has no slash, but it may have an at sign: `NAME/@alias` is then the
 * way to write an alias of it, and `NAME/` the model itself.
 */
export function parseReference(text: string): Reference {
  const slash = text.indexOf('/');
  const at = text.lastIndexOf('@');
  if (slash > 0)
    return { name: text.slice(0, slash), version: parseVersion(text, text.slice(slash + 1)) };
  if (slash < 0 && at > 0)
    return { name: text.slice(0, at), version: parseVersion(text, text.slice(at)) };
  if (slash < 0 && at < 0 && text !== '') return { name: text, version: undefined };
  throw wrong(text);
}

/** A reference that must name a version. */
export function parseVersionReference(
  text: string,
): Required<Reference> & { version: VersionReference } {
  const { name, version } = parseReference(text);
  if (version !== undefined) return { name, version };
  throw new UsageError(
    `${text} names a model; this needs one of its versions, such as ${text}/1 or ${text}/latest.`,
    `slipway versions ${text}`,
  );
}

/** A model without a version. */
export function parseName(text: string): string {
  const { name, version } = parseReference(text);
  if (version === undefined) return name;
  throw new UsageError(`${text} names a version; this needs a model, such as ${name}.`);
}

/** How a reference is written back: `iris`, `iris/3`, `iris@champion`. */
export function referenceText(name: string, version: VersionReference | undefined): string {
  if (version === undefined) return name;
  return String(version).startsWith('@') ? `${name}${version}` : `${name}/${version}`;
}

function parseVersion(text: string, version: string): VersionReference | undefined {
  if (version === '') return undefined;
  if (/^[1-9]\d*$/.test(version)) return Number(version);
  if (/^@[\w-]+$/.test(version) || ['production', 'staging', 'latest'].includes(version))
    return version;
  throw wrong(text);
}

function wrong(text: string): UsageError {
  return new UsageError(
    `${JSON.stringify(text)} names no version: write NAME/3, NAME@alias, NAME/production, NAME/staging or NAME/latest.`,
    'slipway ls',
  );
}
