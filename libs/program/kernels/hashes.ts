import { ProgramError } from '../program-error.js';
import { bytesOf, elementsOf } from './byte-texts.js';
import { bucketOf, fingerprint64, lastHash, murmur64, sipHash } from './fingerprints.js';
import { onlyInput, type Kernel, type KernelArguments } from './kernel.js';

/** Hashes of BYTES, bit-equal to TensorFlow's. */
export const hashes: Record<string, Kernel> = {
  /**
   * The bucket of each element of BYTES, any shape: its hash modulo the attribute `buckets`, INT64 of the same shape. Attribute
   * `hash`: `farm` (FarmHash's Fingerprint64: StringToHashBucketFast, Keras Hashing), `sip` (SipHash-2-4 with the weight
   * `key` INT64 `[2]`: StringToHashBucketStrong, Keras Hashing with a salt) or `murmur` (StringToHashBucket).
   */
  'hash-buckets': (given) => {
    const buckets = given.integer('buckets', 1, Number.MAX_SAFE_INTEGER);
    const hash = hashOf(given);
    return (inputs) => {
      const input = onlyInput(inputs);
      const data = BigInt64Array.from(elementsOf(input), (element) => {
        hash(bytesOf(element));
        return BigInt(bucketOf(buckets));
      });
      return [{ dtype: 'INT64', shape: input.shape, data }];
    };
  },

  /** FarmHash's Fingerprint64 of each element of BYTES: its 8 bytes, the lowest first, along a new last dimension, UINT8. */
  'fingerprint-64': () => (inputs) => {
    const input = onlyInput(inputs);
    const data = new BigUint64Array(input.data.length);
    elementsOf(input).forEach((element, i) => (data[i] = fingerprintOf(bytesOf(element))));
    return [{ dtype: 'UINT8', shape: [...input.shape, 8], data: new Uint8Array(data.buffer) }];
  },
};

function hashOf(given: KernelArguments): (bytes: Uint8Array) => void {
  const hash = given.oneOf('hash', ['farm', 'sip', 'murmur']);
  if (hash === 'farm') return fingerprint64;
  if (hash === 'murmur') return murmur64;
  const { data } = given.weight('key', ['INT64'], 1);
  const [first, second] = data;
  if (typeof first !== 'bigint' || typeof second !== 'bigint' || data.length !== 2)
    throw new ProgramError('INVALID_PROGRAM', 'the key of a hash has two numbers');
  return (bytes) => sipHash(bytes, [first, second]);
}

/** FarmHash's Fingerprint64 as one number. */
export function fingerprintOf(bytes: Uint8Array): bigint {
  fingerprint64(bytes);
  const { low, high } = lastHash();
  return (BigInt(high) << 32n) | BigInt(low);
}
