// Decodes files to pixels, as `lpips-tf pair` reads them.

/**
 * Decodes an image file: turned as its EXIF says, colour profiles ignored, transparency over white.
 * @param {File} file
 * @returns {Promise<{name: string, canvas: HTMLCanvasElement, pixels: ImageData}>}
 */
export async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {
      colorSpaceConversion: "none",
      imageOrientation: "from-image",
    });
  } catch {
    throw new Error(`Expected an image. This browser cannot read ${file.name} as one.`);
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error(`${file.name} is too large for this browser.`);
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return {
    name: file.name,
    canvas,
    pixels: context.getImageData(0, 0, canvas.width, canvas.height),
  };
}
