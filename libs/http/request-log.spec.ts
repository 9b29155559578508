import { expect, it } from '@jest/globals';
import { loggedUrl } from './request-log.js';

it.each([
  ['/api/v1/models', '/api/v1/models'],
  ['/api/v1/models?limit=5&cursor=abc', '/api/v1/models?limit=5&cursor=abc'],
  ['/x?token=s&limit=5', '/x?token=***&limit=5'],
  ['/x?X-Amz-Signature=s=t', '/x?X-Amz-Signature=***'],
  ['/x?a-secret', '/x?***'],
  ['/x?limit', '/x?limit'],
  ['/x?a=b?c=d', '/x?a=***'],
  ['/x?', '/x?***'],
])('%s is logged as %s', (url, logged) => expect(loggedUrl(url)).toBe(logged));
