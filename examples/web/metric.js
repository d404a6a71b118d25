// Computes LPIPS in a worker, so that the page stays responsive while the network runs.

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let requests = 0;
let failure = null; // of the worker as a whole

worker.onmessage = ({ data: { request, error, answer } }) => {
  const { resolve, reject } = waiting.get(request);
  waiting.delete(request);
  if (error) reject(new Error(error));
  else resolve(answer);
};
worker.onerror = (event) => {
  event.preventDefault();
  failure = new Error(event.message || "the worker did not load");
  for (const { reject } of waiting.values()) reject(failure);
  waiting.clear();
};

function ask(network, reference, image) {
  if (failure) return Promise.reject(failure);
  const request = requests++;
  worker.postMessage({ request, network, reference, image });
  return new Promise((resolve, reject) => waiting.set(request, { resolve, reject }));
}

/**
 * LPIPS of two images of one size.
 * @param {ImageData} reference
 * @param {ImageData} image
 * @returns {Promise<Float32Array>} of one number
 */
export function distance(reference, image) {
  return ask("alex.onnx", reference, image);
}

/**
 * The map of their differences: a value for each pixel, row by row, whose mean is about the distance.
 * @param {ImageData} reference
 * @param {ImageData} image
 * @returns {Promise<Float32Array>}
 */
export function differences(reference, image) {
  return ask("alex-spatial.onnx", reference, image);
}
