// How fast networks of TensorFlow answer beside ONNX Runtime on a plain ONNX of the same network, each on one thread; turn by
// turn, by processor time. Run: node dist/bench/neural.js [rounds] [part of the models' names]
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { nodeOnnxBackend } from '#formats';
import { loadProgram, WEIGHTS_FILE, WeightsWriter, type Runtime, type Tensor } from '#program';
import type { OnnxOp } from '../libs/formats/tensor-graph/tensor-graph.js';
import { writeGraph } from '../libs/formats/tensor-graph/write-graph.js';
import { writeStretch } from '../libs/formats/tensor-graph/write-stretch.js';
import { lowered } from '../test/support/tf-graphs.js';
import { normals } from './grown-trees.js';
import { neuralModels, type NeuralModel } from './neural-models.js';
import { printResult, spread } from './result.js';

const GOAL = 0.95;
/** Answers are the same to so much, relative to the largest: the sums stand in another order. */
const TOLERANCE = 1e-4;
/** Milliseconds of one turn. */
const SLICE = 300;

const rounds = Number(process.argv[2] ?? 9);
const part = process.argv[3] ?? '';
for (const model of neuralModels()) if (model.name.includes(part)) await benchModel(model);

/** Answers one request. */
type Way = () => Promise<ArrayLike<number>>;

async function benchModel(model: NeuralModel): Promise<void> {
  const count = model.shape.reduce((product, size) => product * size, 1);
  const data = Float32Array.from(normals(99, Math.ceil(count / 20)).subarray(0, count));
  const own = await ownWay(model, data);
  const plain = await plainWay(model, data);
  checkClose(await plain(), await own());
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round <= rounds; round++) {
    // Who is first changes, since the second one finds warmer caches.
    const [first, second] = round % 2 === 0 ? [own, plain] : [plain, own];
    const [one, other] = [await measure(first), await measure(second)];
    // The first round warms up.
    if (round === 0) continue;
    ours.push(round % 2 === 0 ? one : other);
    theirs.push(round % 2 === 0 ? other : one);
  }
  printResult({
    what: `${model.name}, to onnxruntime-node, 1 row`,
    ...spread(theirs.map((time, i) => time / (ours[i] ?? NaN))),
    parts: { 'program µs': spread(ours).ratio, 'session.run µs': spread(theirs).ratio },
    goal: `>= ${GOAL}`,
    better: 'higher',
  });
}

async function ownWay({ tensorflow, shape }: NeuralModel, data: Float32Array): Promise<Way> {
  const { graph, entry } = lowered(tensorflow);
  const facts = { importer: 'bench@1', format: 'bench', signatures: entry };
  const { program, weights } = writeGraph(graph.nodes, facts);
  const onnx = await nodeOnnxBackend();
  const runtime: Runtime = await loadProgram(program, weights, { onnx });
  const input: Tensor = { name: 'x', dtype: 'FP32', shape, data };
  const outputs = tensorflow.outputs;
  return async () => {
    const [answer] = await runtime.run([input], outputs);
    return answer?.data as Float32Array;
  };
}

async function plainWay(model: NeuralModel, data: Float32Array): Promise<Way> {
  const { plain, input, output, shape, channelsFirst } = model;
  const nodes = plain.nodes.filter((node): node is OnnxOp => node.kind === 'onnx');
  const weights = new WeightsWriter();
  const made = writeStretch({ nodes, inputs: [input], outputs: [output] }, weights);
  const session = await InferenceSession.create(made.bytes, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    externalData: [{ path: WEIGHTS_FILE, data: weights.toBytes() }],
  });
  const [name = '', answered = ''] = [made.inputs[0], made.outputs[0]];
  const given = channelsFirst ? planes(data, shape) : { data, shape };
  return async () => {
    // A request brings numbers of its own.
    const feed = { [name]: new OrtTensor('float32', given.data, given.shape) };
    const answer = await session.run(feed, [answered]);
    return answer[answered]?.data as Float32Array;
  };
}

/** Pixels with their channels one behind the other, as planes. */
function planes(
  data: Float32Array,
  [rows = 0, height = 0, width = 0, channels = 0]: number[],
): { data: Float32Array; shape: number[] } {
  const pixels = height * width;
  const turned = data.map((_, at) => {
    const [row, rest] = [Math.floor(at / (channels * pixels)), at % (channels * pixels)];
    const [channel, pixel] = [Math.floor(rest / pixels), rest % pixels];
    return data[(row * pixels + pixel) * channels + channel] ?? 0;
  });
  return { data: turned, shape: [rows, channels, height, width] };
}

/** Processor time (µs) of a request, averaged over a turn. */
async function measure(way: Way): Promise<number> {
  const end = performance.now() + SLICE;
  const used = process.cpuUsage();
  let made = 0;
  do {
    await way();
    made++;
  } while (performance.now() < end);
  const { user, system } = process.cpuUsage(used);
  return (user + system) / made;
}

/** Speed counts only where the numbers are right. */
function checkClose(theirs: ArrayLike<number>, ours: ArrayLike<number>): void {
  if (ours.length !== theirs.length)
    throw new Error(`there are ${ours.length} numbers where ${theirs.length} are expected`);
  const largest = Array.from(theirs).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  for (let i = 0; i < theirs.length; i++)
    if (!(Math.abs((theirs[i] ?? NaN) - (ours[i] ?? NaN)) <= largest * TOLERANCE))
      throw new Error(`number ${i} is ${ours[i]} where ${theirs[i]} is expected`);
}
