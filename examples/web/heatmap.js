// Draws a map of distances in colours: Matplotlib's magma, which looks evenly spaced to the eye.

const STOPS = [
  [0, 0, 4], [10, 8, 34], [29, 17, 71], [54, 16, 107], [81, 18, 124], [106, 28, 129],
  [131, 38, 129], [156, 46, 127], [183, 55, 121], [208, 65, 111], [231, 82, 99], [245, 107, 92],
  [252, 137, 97], [254, 167, 114], [254, 196, 136], [253, 226, 163], [252, 253, 191],
];

/** Writes the colour of a share from 0 to 1 at `offset` of RGBA `pixels`. */
function paint(pixels, offset, share) {
  const position = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1);
  const low = Math.min(Math.floor(position), STOPS.length - 2);
  for (let channel = 0; channel < 3; channel++) {
    const [from, to] = [STOPS[low][channel], STOPS[low + 1][channel]];
    pixels[offset + channel] = from + (position - low) * (to - from);
  }
  pixels[offset + 3] = 255;
}

/** Draws row-major `values` from 0 to `largest` on a canvas of their size. */
export function draw(canvas, values, width, height, largest) {
  [canvas.width, canvas.height] = [width, height];
  const drawn = new ImageData(width, height);
  const scale = largest > 0 ? 1 / largest : 0; // 0: two equal images
  for (let i = 0; i < values.length; i++) paint(drawn.data, 4 * i, values[i] * scale);
  canvas.getContext("2d").putImageData(drawn, 0, 0);
}
