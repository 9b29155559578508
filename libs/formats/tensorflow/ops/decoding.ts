import { all, type OpRule } from '../op-rule.js';

const decode: OpRule = (op) => {
  const channels = op.integer('channels', 0);
  const dtype = op.dtype('dtype', 'UINT8');
  if (![0, 1, 3, 4].includes(channels)) op.unsupported(`${channels} channels are not.`);
  if (dtype !== 'UINT8') op.unsupported(`pictures as ${dtype} are not.`);
  if (op.integer('ratio', 1) !== 1)
    op.unsupported('smaller pictures than that of the file are not.');
  if (!op.flag('fancy_upscaling', true)) op.unsupported('plain upscaling is not.');
  // TensorFlow's own default is the fast one.
  const transform = op.text('dct_method', '') === 'INTEGER_ACCURATE' ? 'accurate' : 'fast';
  const shape = [-1, -1, channels === 0 ? -1 : channels];
  return op.graph.kernel('decode-picture', [op.tensor(0)], [{ dtype: 'UINT8', shape }], {
    attributes: { channels, transform },
  });
};

/** Pictures in files. In TensorFlow too each of these operations takes JPEG and PNG alike. */
export const decoding: Record<string, OpRule> = {
  ...all(decode, 'DecodeJpeg DecodePng DecodeImage'),
};
