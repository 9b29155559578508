/** The package has no types of its own; only what is used of it. */
declare module 'snappyjs' {
  const snappy: {
    /** Throws Error where the bytes are none, or are of more than `maxLength`. */
    uncompress(compressed: Uint8Array, maxLength?: number): Uint8Array;
    compress(uncompressed: Uint8Array): Uint8Array;
  };
  export default snappy;
}
