// Runs the exported networks in ONNX Runtime. All files are in this folder.

import * as ort from "./onnxruntime/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("onnxruntime/", import.meta.url).href;

const load = (name) => ort.InferenceSession.create(new URL(name, import.meta.url).href);
const sessions = {};
let last = load("alex.onnx").then((session) => (sessions["alex.onnx"] = session), () => {});

/** RGBA pixels as a batch of one RGB image from −1 to 1. */
function tensor({ data, width, height }) {
  const floats = new Float32Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    for (let channel = 0; channel < 3; channel++) floats[to++] = data[from + channel] / 127.5 - 1;
  }
  return new ort.Tensor("float32", floats, [1, height, width, 3]);
}

async function run(network, reference, image) {
  sessions[network] ??= await load(network);
  const results = await sessions[network].run({ in0: tensor(reference), in1: tensor(image) });
  return results.distance.data;
}

function explained(error) {
  const text = String(error?.message ?? error);
  return text.includes("bad_alloc") ? "they need more memory than a page can have" : text;
}

// Requests wait for each other: a session runs one at a time.
self.onmessage = ({ data: { request, network, reference, image } }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ request, answer: await run(network, reference, image) });
    } catch (error) {
      self.postMessage({ request, error: explained(error) });
    }
  });
};
