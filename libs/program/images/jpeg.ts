import { checkSize, ImageFault, type Image } from './image.js';
import {
  blockPixels,
  enlarged,
  fastBlockPixels,
  fastQuantisers,
  ZIGZAG,
  type Plane,
} from './jpeg-blocks.js';
import { huffmanTable, JpegBits, type HuffmanTable } from './jpeg-bits.js';

interface Component {
  id: number;
  h: number;
  v: number;
  quantisers: number;
  /** Size in blocks, and in blocks of whole groups (MCUs). */
  wide: number;
  high: number;
  stride: number;
  rows: number;
  coefficients: Int16Array;
  dc: HuffmanTable | undefined;
  ac: HuffmanTable | undefined;
  last: number;
}

interface Scan {
  from: number;
  to: number;
  /** Bits that a scan before had left out, and this one leaves out. */
  high: number;
  low: number;
}

/**
 * Decodes a JPEG (ITU-T T.81: baseline, extended and progressive DCT with 8 bits, Huffman codes) to the bytes that libjpeg-turbo makes
 * with fancy upsampling and its fast integer transform, or its accurate one. `channels`: 0 as the picture has them, 1 for luminance, 3 for red, green
 * and blue. Throws ImageFault.
 */
export function decodeJpeg(
  bytes: Uint8Array,
  channels: number,
  transform: 'fast' | 'accurate',
): Image {
  return new JpegDecoder(bytes, transform === 'fast').decode(channels);
}

const MOST_SCANS = 1000;

class JpegDecoder {
  private at = 0;
  private width = 0;
  private height = 0;
  private progressive = false;
  private components: Component[] = [];
  private readonly quantisers: (Uint16Array | undefined)[] = [];
  private readonly dc: (HuffmanTable | undefined)[] = [];
  private readonly ac: (HuffmanTable | undefined)[] = [];
  private interval = 0;
  private adobe: number | undefined;
  private isJfif = false;
  private scans = 0;
  /** Blocks of a progressive scan that are known to be empty. */
  private empty = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly fast: boolean,
  ) {}

  decode(channels: number): Image {
    if (this.bytes[0] !== 0xff || this.bytes[1] !== 0xd8) throw new ImageFault('it is no JPEG');
    this.at = 2;
    for (let marker = this.marker(); marker !== 0xd9; marker = this.marker()) this.segment(marker);
    if (this.scans === 0) throw new ImageFault('it has no pixels');
    return this.image(channels);
  }

  private marker(): number {
    // Bytes before a marker belong to nothing.
    while (this.at < this.bytes.length && this.bytes[this.at] !== 0xff) this.at++;
    while (this.bytes[this.at] === 0xff) this.at++;
    const marker = this.bytes[this.at++];
    if (marker === undefined) throw new ImageFault('it is cut off');
    return marker;
  }

  private segment(marker: number): void {
    if (marker === 0 || marker === 1 || (marker >= 0xd0 && marker <= 0xd7)) return;
    const length = this.word(this.at);
    const from = this.at + 2;
    this.at += length;
    if (length < 2 || this.at > this.bytes.length) throw new ImageFault('it is cut off');
    const part = this.bytes.subarray(from, this.at);
    if (marker === 0xdb) this.readQuantisers(part);
    else if (marker === 0xc4) this.readHuffman(part);
    else if (marker === 0xc0 || marker === 0xc1 || marker === 0xc2) this.readFrame(part, marker);
    else if (marker === 0xda) this.readScan(part);
    else if (marker === 0xdd) this.interval = this.word(from);
    else if (marker === 0xe0) this.isJfif ||= startsWith(part, 'JFIF\0');
    else if (marker === 0xee && startsWith(part, 'Adobe') && part.length >= 12)
      this.adobe = part[11];
    else if (marker > 0xc0 && marker < 0xd0 && marker !== 0xc8 && marker !== 0xcc)
      throw new ImageFault('it is a JPEG of a kind that is not supported (lossless or arithmetic)');
  }

  private word(at: number): number {
    return ((this.bytes[at] ?? 0) << 8) | (this.bytes[at + 1] ?? 0);
  }

  private readQuantisers(part: Uint8Array): void {
    for (let at = 0; at < part.length;) {
      const head = part[at++] ?? 0;
      const size = head >> 4 ? 2 : 1;
      if (at + 64 * size > part.length || (head & 15) > 3) throw new ImageFault('a table is wrong');
      const table = new Uint16Array(64);
      for (let i = 0; i < 64; i++, at += size)
        table[ZIGZAG[i] ?? 0] =
          size === 2 ? ((part[at] ?? 0) << 8) | (part[at + 1] ?? 0) : (part[at] ?? 0);
      this.quantisers[head & 15] = table;
    }
  }

  private readHuffman(part: Uint8Array): void {
    for (let at = 0; at < part.length;) {
      const head = part[at] ?? 0;
      const counts = part.subarray(at + 1, at + 17);
      const total = counts.reduce((sum, count) => sum + count, 0);
      at += 17 + total;
      if (at > part.length || total > 256 || (head & 15) > 3)
        throw new ImageFault('a table is wrong');
      const table = huffmanTable(counts, part.subarray(at - total, at));
      (head >> 4 ? this.ac : this.dc)[head & 15] = table;
    }
  }

  private readFrame(part: Uint8Array, marker: number): void {
    if (this.components.length > 0) throw new ImageFault('it has several frames');
    this.progressive = marker === 0xc2;
    const [precision = 0, h1 = 0, h0 = 0, w1 = 0, w0 = 0, count = 0] = part;
    if (precision !== 8) throw new ImageFault(`it has ${precision} bits a sample, not 8`);
    this.height = (h1 << 8) | h0;
    this.width = (w1 << 8) | w0;
    checkSize(this.width, this.height);
    if (count !== 1 && count !== 3)
      throw new ImageFault(`it has ${count} colour components, and 1 or 3 are supported`);
    if (part.length < 6 + 3 * count) throw new ImageFault('it is cut off');
    const found = Array.from({ length: count }, (_, i) => {
      const [id = 0, sampling = 0, quantisers = 0] = part.subarray(6 + 3 * i, 9 + 3 * i);
      return { id, h: sampling >> 4, v: sampling & 15, quantisers };
    });
    if (found.some(({ h, v }) => h < 1 || h > 4 || v < 1 || v > 4))
      throw new ImageFault('its sampling is wrong');
    const [hMost, vMost] = most(found);
    const across = Math.ceil(this.width / (8 * hMost));
    const down = Math.ceil(this.height / (8 * vMost));
    this.components = found.map((component) => {
      const { h, v } = component;
      const [stride, rows] = [across * h, down * v];
      return {
        ...component,
        wide: Math.ceil(Math.ceil((this.width * h) / hMost) / 8),
        high: Math.ceil(Math.ceil((this.height * v) / vMost) / 8),
        stride,
        rows,
        coefficients: new Int16Array(stride * rows * 64),
        dc: undefined,
        ac: undefined,
        last: 0,
      };
    });
  }

  private readScan(part: Uint8Array): void {
    const [count = 0] = part;
    if (++this.scans > MOST_SCANS || part.length < 4 + 2 * count || count < 1)
      throw new ImageFault('a scan is wrong');
    const chosen = Array.from({ length: count }, (_, i) => {
      const [id, tables = 0] = part.subarray(1 + 2 * i, 3 + 2 * i);
      const component = this.components.find((one) => one.id === id);
      if (!component) throw new ImageFault('a scan has a colour that the picture has not');
      component.dc = this.dc[tables >> 4];
      component.ac = this.ac[tables & 15];
      return component;
    });
    const [from = 0, to = 63, approximation = 0] = part.subarray(1 + 2 * count);
    const scan = { from, to, high: approximation >> 4, low: approximation & 15 };
    if (from > to || to > 63 || scan.low > 13 || (this.progressive && from > 0 && count > 1))
      throw new ImageFault('a scan is wrong');
    const bits = new JpegBits(this.bytes, this.at);
    this.readBlocks(bits, chosen, scan);
    this.at = bits.at;
  }

  private readBlocks(bits: JpegBits, chosen: Component[], scan: Scan): void {
    const decode = this.blockDecoder(bits, scan);
    const [first] = chosen;
    const single = chosen.length === 1 && first ? first : undefined;
    const [hMost, vMost] = most(this.components);
    const across = single ? single.wide : Math.ceil(this.width / (8 * hMost));
    const down = single ? single.high : Math.ceil(this.height / (8 * vMost));
    this.reset(chosen);
    for (let i = 0; i < across * down; i++) {
      if (this.interval > 0 && i > 0 && i % this.interval === 0) {
        bits.restart();
        this.reset(chosen);
      }
      const [x, y] = [i % across, Math.floor(i / across)];
      if (single) decode(single, (y * single.stride + x) * 64);
      else
        for (const component of chosen) {
          const { h, v, stride } = component;
          for (let row = y * v; row < (y + 1) * v; row++)
            for (let column = x * h; column < (x + 1) * h; column++)
              decode(component, (row * stride + column) * 64);
        }
    }
  }

  private reset(chosen: Component[]): void {
    this.empty = 0;
    for (const component of chosen) component.last = 0;
  }

  private blockDecoder(bits: JpegBits, scan: Scan): (component: Component, at: number) => void {
    if (!this.progressive) return (component, at) => this.baseline(bits, component, at);
    if (scan.from === 0)
      return (component, at) => {
        if (scan.high === 0) component.coefficients[at] = this.dcOf(bits, component) << scan.low;
        else if (bits.bit())
          component.coefficients[at] = (component.coefficients[at] ?? 0) | (1 << scan.low);
      };
    return (component, at) =>
      scan.high === 0
        ? this.firstAc(bits, component, at, scan)
        : this.nextAc(bits, component, at, scan);
  }

  private dcOf(bits: JpegBits, component: Component): number {
    const length = bits.symbol(table(component.dc));
    if (length > 15) throw new ImageFault('a number in it is too large');
    component.last += bits.signed(length);
    return component.last;
  }

  private baseline(bits: JpegBits, component: Component, at: number): void {
    const { coefficients } = component;
    coefficients[at] = this.dcOf(bits, component);
    const ac = table(component.ac);
    for (let k = 1; k < 64; k++) {
      const symbol = bits.symbol(ac);
      const [run, length] = [symbol >> 4, symbol & 15];
      if (length === 0 && run < 15) break;
      k += run;
      if (k > 63) throw new ImageFault('a block in it is too long');
      if (length > 0) coefficients[at + (ZIGZAG[k] ?? 0)] = bits.signed(length);
    }
  }

  private firstAc(bits: JpegBits, { coefficients, ac }: Component, at: number, scan: Scan): void {
    if (this.empty > 0) {
      this.empty--;
      return;
    }
    for (let k = scan.from; k <= scan.to; k++) {
      const symbol = bits.symbol(table(ac));
      const [run, length] = [symbol >> 4, symbol & 15];
      if (length === 0 && run < 15) {
        this.empty = (1 << run) - 1 + bits.bits(run);
        return;
      }
      k += run;
      if (k > 63) throw new ImageFault('a block in it is too long');
      if (length > 0) coefficients[at + (ZIGZAG[k] ?? 0)] = bits.signed(length) << scan.low;
    }
  }

  /** T.81, G.1.2.3: one more bit of what is not zero, and what becomes so. */
  private nextAc(bits: JpegBits, { coefficients, ac }: Component, at: number, scan: Scan): void {
    const one = 1 << scan.low;
    let k = scan.from;
    const refine = (place: number) => {
      const value = coefficients[place] ?? 0;
      if (bits.bit() && (value & one) === 0) coefficients[place] = value + (value > 0 ? one : -one);
    };
    while (k <= scan.to && this.empty === 0) {
      const symbol = bits.symbol(table(ac));
      let run = symbol >> 4;
      const length = symbol & 15;
      if (length > 1) throw new ImageFault('a code in it is wrong');
      if (length === 0 && run < 15) {
        this.empty = (1 << run) + bits.bits(run);
        break;
      }
      const added = length === 0 ? 0 : bits.bit() ? one : -one;
      for (; k <= scan.to; k++) {
        const place = at + (ZIGZAG[k] ?? 0);
        if (coefficients[place] !== 0) refine(place);
        else if (run-- === 0) {
          coefficients[place] = added;
          k++;
          break;
        }
      }
    }
    if (this.empty === 0) return;
    for (; k <= scan.to; k++) {
      const place = at + (ZIGZAG[k] ?? 0);
      if (coefficients[place] !== 0) refine(place);
    }
    this.empty--;
  }

  private image(channels: number): Image {
    const planes = this.components.map((component) => this.plane(component));
    const isGray = planes.length === 1;
    const isRgb = !isGray && this.isRgb();
    const { width, height } = this;
    if (channels === 1 && isRgb) throw new ImageFault('it is RGB where the model wants luminance');
    const wanted = channels === 0 ? planes.length : channels;
    const data = new Uint8Array(width * height * wanted);
    let at = 0;
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, at += wanted) {
        const [first = 0, second = 128, third = 128] = planes.map(
          (plane) => plane.data[y * plane.stride + x],
        );
        if (wanted === 1) data[at] = first;
        else if (isGray) data.fill(first, at, at + 3);
        else if (isRgb) data.set([first, second, third], at);
        else setColour(data, at, first, second - 128, third - 128);
      }
    return { width, height, channels: wanted, data };
  }

  /** As libjpeg guesses it (jdapimin.c). */
  private isRgb(): boolean {
    if (this.isJfif) return false;
    if (this.adobe !== undefined) return this.adobe === 0;
    return this.components.map(({ id }) => String.fromCharCode(id)).join('') === 'RGB';
  }

  private plane({ h, v, stride, rows, coefficients, quantisers }: Component): Plane {
    const table = this.quantisers[quantisers];
    if (!table) throw new ImageFault('a table is missing');
    const data = new Uint8Array(stride * rows * 64);
    const quick = this.fast ? fastQuantisers(table) : undefined;
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < stride; column++) {
        const from = (row * stride + column) * 64;
        const at = row * 64 * stride + column * 8;
        if (quick) fastBlockPixels(coefficients, from, quick, data, at, stride * 8);
        else blockPixels(coefficients, from, table, data, at, stride * 8);
      }
    const [hMost, vMost] = most(this.components);
    const plane = {
      width: Math.ceil((this.width * h) / hMost),
      height: Math.ceil((this.height * v) / vMost),
      stride: stride * 8,
      data,
    };
    if (hMost % h !== 0 || vMost % v !== 0) throw new ImageFault('its sampling is not supported');
    return enlarged(plane, hMost / h, vMost / v);
  }
}

function startsWith(part: Uint8Array, text: string): boolean {
  return Array.from(text).every((c, i) => part[i] === c.charCodeAt(0));
}

function most(components: readonly { h: number; v: number }[]): [number, number] {
  return [Math.max(...components.map(({ h }) => h)), Math.max(...components.map(({ v }) => v))];
}

function table(found: HuffmanTable | undefined): HuffmanTable {
  if (!found) throw new ImageFault('a table is missing');
  return found;
}

/** Red, green and blue in libjpeg's fixed-point numbers (jdcolor.c). */
function setColour(data: Uint8Array, at: number, y: number, cb: number, cr: number): void {
  data[at] = byte(y + ((91881 * cr + 32768) >> 16));
  data[at + 1] = byte(y + ((-22554 * cb - 46802 * cr + 32768) >> 16));
  data[at + 2] = byte(y + ((116130 * cb + 32768) >> 16));
}

function byte(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
