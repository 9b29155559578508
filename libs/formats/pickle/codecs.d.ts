/** Packages without types of their own; only what is used of them. */
declare module 'lz4js' {
  const lz4: {
    decompressBound(source: Uint8Array): number | bigint;
    decompressFrame(source: Uint8Array, target: Uint8Array): number;
  };
  export default lz4;
}

declare module 'seek-bzip' {
  const bzip2: {
    decode(
      input: Buffer,
      output: { writeByte(byte: number): void; flush(): void },
      severalStreams: boolean,
    ): void;
  };
  export default bzip2;
}
