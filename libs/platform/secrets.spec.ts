import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { hideSecrets, rememberSecrets, withoutCredentials } from './secrets.js';

describe('secrets of the settings', () => {
  it('are hidden in every form in which they may be printed', () => {
    const token = 'a"quoted\\token/+';
    rememberSecrets({
      SLIPWAY_TOKEN: token,
      S3_SECRET_KEY: ' trimmed-secret ',
      DATABASE_URL: 'postgres://me:pass%2Fword@host/db',
    });
    for (const said of [
      token,
      JSON.stringify({ token }),
      `?token=${encodeURIComponent(token)}`,
      `Basic ${Buffer.from(`:${token}`).toString('base64')}`,
      'trimmed-secret',
      'pass%2Fword',
      'password authentication failed: pass/word',
    ]) {
      expect(hideSecrets(`before ${said} after`)).toMatch(/^before .*\*\*\*.* after$/);
    }
    expect(hideSecrets(JSON.stringify({ token }))).toBe('{"token":"***"}');
  });

  it('that are short, or empty, do not blacken all text', () => {
    rememberSecrets({ SLIPWAY_TOKEN: 'info', S3_SECRET_KEY: '', DATABASE_URL: 'postgres://h/db' });
    expect(hideSecrets('{"level":"info"}')).toBe('{"level":"info"}');
  });

  it('leave no trace whatever stands around them', () => {
    const secret = 'Xy7-fixed-secret';
    rememberSecrets({ S3_SECRET_KEY: secret });
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        expect(hideSecrets(before + secret + after)).not.toContain(secret);
      }),
    );
  });
});

it.each([
  ['postgres://me:secret@host:5432/db', 'postgres://***@host:5432/db'],
  ['https://me:se/cr@et@host/x', 'https://***@host/x'],
  ['s3://key:secret@bucket', 's3://***@bucket'],
  ['https://host/x?signature=secret', 'https://host/x?***'],
  ['https://host/x', 'https://host/x'],
  ['localhost', 'localhost'],
])('shows %s as %s', (url, shown) => expect(withoutCredentials(url)).toBe(shown));
