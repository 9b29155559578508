import { DamagedModel, UnsupportedModel } from '../importer.js';
import { DType, type DTypeField, MOST_FIELDS } from './dtype.js';
import { checkShape } from './shape.js';
import { parsePythonLiteral, type Literal } from './python-literal.js';
import { NdArray, PyTuple } from './records.js';
import { latin1, utf8 } from './texts.js';

const MAGIC = '\x93NUMPY';
/** numpy itself refuses longer headers. */
const MOST_HEADER = 65_536;

export interface NpyHeader {
  dtype: DType;
  shape: number[];
  fortran: boolean;
  /** Where the content begins: elements, or a pickle of the array where it is one of objects. */
  start: number;
}

export function isNpy(head: Uint8Array): boolean {
  return latin1(head.subarray(0, MAGIC.length)) === MAGIC;
}

/** The header of a `.npy` file (numpy/lib/format.py, versions 1 to 3). Throws DamagedModel. */
export function readNpyHeader(bytes: Uint8Array): NpyHeader {
  const damaged = (message: string): never => {
    throw new DamagedModel(`npy header: ${message}`);
  };
  if (!isNpy(bytes) || bytes.length < 12) damaged('it does not begin as one');
  const version = bytes[6] ?? 0;
  if (version < 1 || version > 3) damaged(`version ${version} is not known`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const begin = version === 1 ? 10 : 12;
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MOST_HEADER || begin + length > bytes.length) damaged('it is longer than the file');
  const text = bytes.subarray(begin, begin + length);
  const header = parsePythonLiteral(version === 3 ? utf8(text) : latin1(text));
  if (!(header instanceof Map)) return damaged('it is not a dict');
  const shape = header.get('shape');
  const fortran = header.get('fortran_order');
  if (!Array.isArray(shape) || typeof fortran !== 'boolean')
    return damaged('shape or order is missing');
  return {
    dtype: dtypeOf(header.get('descr'), 0),
    shape: shapeOf(shape),
    fortran,
    start: begin + length,
  };
}

/** A whole `.npy` file; one of objects, which is a pickle inside, is refused. Throws DamagedModel. */
export function readNpy(bytes: Uint8Array): NdArray {
  const { dtype, shape, fortran, start } = readNpyHeader(bytes);
  if (dtype.hasObjects) throw new UnsupportedModel('an npy file of objects is not supported here');
  return NdArray.of(dtype, shape, bytes.subarray(start), fortran);
}

function dtypeOf(descr: Literal | undefined, depth: number): DType {
  if (typeof descr === 'string') return DType.parse(descr);
  if (!Array.isArray(descr) || descr.length > MOST_FIELDS || depth > 8) {
    throw new DamagedModel('npy header: the dtype is none');
  }
  const fields: DTypeField[] = [];
  let offset = 0;
  for (const field of descr) {
    const [name, type, shape] = Array.isArray(field) ? field : [];
    const element = dtypeOf(type, depth + 1);
    const dtype = Array.isArray(shape) ? DType.arrays(element, shapeOf(shape)) : element;
    // numpy writes the gaps of aligned records as fields without a name.
    if (typeof name === 'string' && name !== '') fields.push({ name, dtype, offset });
    offset += dtype.itemSize;
  }
  return DType.structured(fields, offset);
}

function shapeOf(lengths: Literal[]): number[] {
  return checkShape(
    new PyTuple(lengths.map((length) => (typeof length === 'number' ? length : -1))),
  );
}
