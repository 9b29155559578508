import { ImageFault } from '../images/image.js';
import { decodeJpeg } from '../images/jpeg.js';
import { decodePng, isPng } from '../images/png.js';
import { ProgramError } from '../program-error.js';
import { bytesOf, elementsOf } from './byte-texts.js';
import { onlyInput, type Kernel } from './kernel.js';

/** Pictures in files. */
export const pictures: Record<string, Kernel> = {
  /**
   * The pixels of one JPEG or PNG, BYTES of one element: UINT8 `[height, width, channels]`. Attribute `channels`: 0 (as the picture
   * has them), 1, 3 or 4; `transform`: `fast` (TensorFlow's default) or `accurate`, of JPEG. What is broken, too large or of another kind is refused with INVALID_INPUT.
   */
  'decode-picture': (given) => {
    const channels = given.integer('channels', 0, 4);
    const transform = given.oneOf('transform', ['fast', 'accurate']);
    return (inputs) => {
      const [element, ...others] = elementsOf(onlyInput(inputs));
      if (element === undefined || others.length > 0)
        throw ProgramError.input('/inputs', 'The model takes one picture at a time.');
      const bytes = bytesOf(element);
      try {
        if (bytes[0] !== 0xff && !isPng(bytes))
          throw new ImageFault('it is neither a JPEG nor a PNG, and others are not supported');
        if (channels === 4 && !isPng(bytes)) throw new ImageFault('a JPEG has no alpha');
        const {
          width,
          height,
          channels: made,
          data,
        } = isPng(bytes) ? decodePng(bytes, channels) : decodeJpeg(bytes, channels, transform);
        return [{ dtype: 'UINT8', shape: [height, width, made], data }];
      } catch (error) {
        if (!(error instanceof ImageFault)) throw error;
        throw ProgramError.input('/inputs', `A picture cannot be decoded: ${error.message}.`);
      }
    };
  },
};
