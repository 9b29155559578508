import { decode } from 'fast-png';
import { checkSize, ImageFault, type Image } from './image.js';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.every((byte, i) => bytes[i] === byte);
}

/**
 * Decodes a PNG (ISO/IEC 15948) to 8 bits a sample, as TensorFlow does with libpng: palettes and fewer bits are expanded, of 16 bits the
 * upper 8 stay. `channels`: 0 as the picture has them, 1 (gray), 2 (with alpha), 3 (red, green, blue) or 4. Throws ImageFault.
 */
export function decodePng(bytes: Uint8Array, channels: number): Image {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isPng(bytes) || bytes.length < 33) throw new ImageFault('it is no PNG');
  // The size stands at the same place in every PNG: what is too large is never unpacked.
  checkSize(view.getUint32(16), view.getUint32(20));
  let png: ReturnType<typeof decode>;
  try {
    png = decode(bytes, { checkCrc: true });
  } catch (error) {
    throw new ImageFault(error instanceof Error ? error.message : String(error));
  }
  if (png.transparency)
    throw new ImageFault('it has one transparent colour, which is not supported');
  const plain = png.palette ? fromPalette(png, png.palette) : inBytes(png);
  return withChannels(plain, channels);
}

type Png = ReturnType<typeof decode>;

/** One sample of rows that are packed to whole bytes. */
function sampleAt({ width, channels, depth, data }: Png): (y: number, i: number) => number {
  if (depth >= 8) return (y, i) => data[y * width * channels + i] ?? 0;
  const stride = Math.ceil((width * channels * depth) / 8);
  const mask = (1 << depth) - 1;
  return (y, i) => {
    const bit = i * depth;
    const packed = data[y * stride + (bit >> 3)] ?? 0;
    return (packed >> (8 - depth - (bit & 7))) & mask;
  };
}

function inBytes(png: Png): Image {
  const { width, height, channels, depth } = png;
  const sample = sampleAt(png);
  const row = width * channels;
  const factor = depth < 8 ? 255 / ((1 << depth) - 1) : 1;
  const data = new Uint8Array(row * height);
  for (let y = 0; y < height; y++)
    for (let i = 0; i < row; i++) {
      const value = sample(y, i);
      data[y * row + i] = depth === 16 ? value >> 8 : value * factor;
    }
  return { width, height, channels, data };
}

function fromPalette(png: Png, palette: number[][]): Image {
  const { width, height } = png;
  const sample = sampleAt(png);
  const channels = palette.some((colour) => colour.length > 3) ? 4 : 3;
  const data = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const colour = palette[sample(y, x)];
      if (!colour) throw new ImageFault('a pixel has no colour in its palette');
      for (let c = 0; c < channels; c++) data[(y * width + x) * channels + c] = colour[c] ?? 255;
    }
  return { width, height, channels, data };
}

function withChannels(image: Image, wanted: number): Image {
  const { width, height, channels: own } = image;
  if (wanted === 0 || wanted === own) return image;
  const ownColours = own > 2 ? 3 : 1;
  const colours = wanted > 2 ? 3 : 1;
  if (ownColours > colours)
    throw new ImageFault(
      'it has colours where the model wants gray, which is not supported for PNG',
    );
  const data = new Uint8Array(width * height * wanted);
  for (let i = 0; i < width * height; i++) {
    const pixel = image.data.subarray(i * own, (i + 1) * own);
    for (let c = 0; c < colours; c++) data[i * wanted + c] = pixel[ownColours === 3 ? c : 0] ?? 0;
    const alpha = own === 2 || own === 4 ? (pixel[own - 1] ?? 255) : 255;
    if (wanted === 2 || wanted === 4) data[(i + 1) * wanted - 1] = alpha;
  }
  return { width, height, channels: wanted, data };
}
