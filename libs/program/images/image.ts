/** A picture: rows of pixels of `channels` bytes each, from the top. */
export interface Image {
  width: number;
  height: number;
  channels: number;
  data: Uint8Array;
}

/** Why bytes are no picture; the message goes on `…: why`. */
export class ImageFault extends Error {}

/** Pixels of one picture: what is larger is refused before it is decoded. */
export const MOST_PIXELS = 2 ** 25;

/** Refuses sizes that no picture has, or none that is decoded here. */
export function checkSize(width: number, height: number): void {
  if (width < 1 || height < 1) throw new ImageFault('it has no pixels');
  if (width * height > MOST_PIXELS)
    throw new ImageFault(`it has ${width} × ${height} pixels, and ${MOST_PIXELS} are the most`);
}
