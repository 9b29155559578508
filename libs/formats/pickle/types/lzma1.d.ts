/** The package's own types are its source, which this project's settings refuse. */
export function decompress(data: Uint8Array): Uint8Array;
