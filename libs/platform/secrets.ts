/** Shorter ones would stand in half of all words. */
const SHORTEST = 6;
const SECRET_NAME =
  /^(SLIPWAY_TOKEN|S3_ACCESS_KEY|S3_SECRET_KEY|PGPASSWORD|AWS_(SECRET_ACCESS_KEY|SESSION_TOKEN))$/;

const known = new Set<string>();

/** Remembers the secrets among the variables, so that {@link hideSecrets} finds them in whatever is printed. */
export function rememberSecrets(env: NodeJS.ProcessEnv): void {
  for (const [name, value = ''] of Object.entries(env)) {
    if (SECRET_NAME.test(name)) remember(value.trim());
    else if (name === 'DATABASE_URL') remember(...passwordsOf(value));
  }
}

/**
 * The text with `***` in place of every remembered secret, as it is, in JSON and in a URL. The last resort, not the first:
 * nothing that is printed should have one in it.
 */
export function hideSecrets(text: string): string {
  for (const secret of known) if (text.includes(secret)) text = text.replaceAll(secret, '***');
  return text;
}

/** A URL, or what somebody took for one, without user, password and query. */
export function withoutCredentials(url: string): string {
  return url.replace(/\/\/.*@/s, '//***@').replace(/\?.*$/s, '?***');
}

function remember(...secrets: string[]): void {
  for (const secret of secrets) {
    if (secret.length < SHORTEST) continue;
    const bearer = [`:${secret}`, `slipway:${secret}`].map((pair) =>
      Buffer.from(pair).toString('base64'),
    );
    for (const form of [secret, JSON.stringify(secret).slice(1, -1), encoded(secret), ...bearer])
      known.add(form);
  }
}

/** The password of a connection URL, as it stands there and as it is sent; also one in its query. */
function passwordsOf(url: string): string[] {
  const [, written = ''] = /^\w+:\/\/[^:@/?#]*:(.*)@/s.exec(url) ?? [];
  const [, queried = ''] = /[?&]password=([^&#]*)/.exec(url) ?? [];
  return [written, queried].flatMap((text) => [text, decoded(text)]);
}

function encoded(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    return text;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
