/** Tags to set; `null` removes one. */
export type TagChanges = Record<string, string | null>;

/** The tags after a change; those that it does not name stay. */
export function mergeTags(
  tags: Record<string, string>,
  changes: TagChanges | undefined,
): Record<string, string> {
  const merged = new Map(Object.entries(tags));
  for (const [key, value] of Object.entries(changes ?? {})) {
    if (value === null) merged.delete(key);
    else merged.set(key, value);
  }
  return Object.fromEntries(merged);
}
