// The page: two images in, a distance and a heat map out.

import { draw } from "./heatmap.js";
import { differences, distance } from "./metric.js";
import { decode } from "./decode.js";

const LEAST_SIDE = 31; // of AlexNet
const EXAMPLES = { reference: "reference.png", image: "noisy.png" };

const find = (id) => document.getElementById(id);
const slots = ["reference", "image"].map((id) => {
  const input = find(id);
  return { id, input, card: input.closest("label"), turn: 0, taken: false, content: null };
});
let comparison = 0;

function tell(id, text) {
  find(id).textContent = text;
}

function show(slot, content) {
  slot.content = content;
  const preview = slot.card.querySelector("canvas");
  [preview.width, preview.height] = [content.canvas.width, content.canvas.height];
  preview.getContext("2d").drawImage(content.canvas, 0, 0);
  preview.setAttribute("aria-label", content.name);
  preview.hidden = false;
  const { width, height } = content.pixels;
  slot.card.querySelector(".hint").textContent = `${content.name}, ${width} × ${height}`;
}

/** Puts files into slots, leaves the others as they are, and names the files that are not images. */
async function take(files, into) {
  tell("message", "");
  for (const slot of into) slot.taken = true;
  const turns = into.map((slot) => (slot.turn += 1));
  const outcomes = await Promise.allSettled(files.map(decode));
  // A file that came to the same slot later replaces this one.
  const mine = outcomes.map((outcome, i) => ({ ...outcome, slot: into[i] }))
    .filter(({ slot }, i) => slot.turn === turns[i]);
  const decoded = mine.filter(({ status }) => status === "fulfilled");
  const failures = mine.filter(({ status }) => status === "rejected");
  for (const { slot, value } of decoded) show(slot, value);
  for (const { slot } of failures) slot.taken = Boolean(slot.content);
  tell("message", failures.map(({ reason }) => reason.message).join(" "));
  if (decoded.length) await answer();
}

/** Compares the images in the slots, if there are two. */
async function answer() {
  const mine = ++comparison; // earlier comparisons no longer count
  find("result").hidden = true;
  const [reference, image] = slots.map((slot) => slot.content?.pixels);
  if (!reference || !image) return tell("status", "One more image.");
  const steps = [
    ["Comparing …", distance, showDistance, "Cannot compare them"],
    ["Looking where they differ …", differences, showHeatmap, "Cannot tell where they differ"],
  ];
  const fault = unfit(reference, image);
  tell("status", "");
  if (fault) return tell("message", fault);
  for (const [status, compute, present, failure] of steps) {
    tell("status", status);
    try {
      const found = await compute(reference, image);
      if (mine !== comparison) return;
      present(found);
    } catch (error) {
      if (mine !== comparison) return;
      tell("message", `${failure}: ${error.message.replace(/\.$/, "")}.`);
      break;
    }
  }
  tell("status", "");
}

function showDistance([value]) {
  tell("distance", value.toFixed(4));
  find("where").hidden = true;
  find("result").hidden = false;
}

function showHeatmap(values) {
  const { canvas } = slots[1].content;
  const largest = values.reduce((a, b) => Math.max(a, b), 0);
  drawGrey(find("under"), canvas);
  draw(find("heatmap"), values, canvas.width, canvas.height, largest);
  find("heatmap").setAttribute("aria-label", `Where they differ: from 0 to ${largest.toFixed(2)}`);
  draw(find("scale"), Array.from({ length: 256 }, (_, i) => i / 255), 256, 1, 1);
  tell("largest", largest.toFixed(2));
  find("where").hidden = false;
}

/** The reason why two images cannot be compared, or null. */
function unfit(a, b) {
  if (a.width !== b.width || a.height !== b.height) {
    const sizes = `${a.width} × ${a.height} and ${b.width} × ${b.height}`;
    return `Expected two images of one size. Received: ${sizes}`;
  }
  if (Math.min(a.width, a.height) < LEAST_SIDE) {
    const size = `${a.width} × ${a.height}`;
    return `Expected at least ${LEAST_SIDE} pixels on each side. Received: ${size}`;
  }
  return null;
}

function drawGrey(canvas, source) {
  [canvas.width, canvas.height] = [source.width, source.height];
  const context = canvas.getContext("2d");
  context.filter = "grayscale(1)";
  context.drawImage(source, 0, 0);
}

/** The slots for dropped files: that of the card under the mouse, or the first empty one. */
function placesFor(count, target) {
  const at = slots.findIndex((slot) => slot.card.contains(target));
  if (count === 2) return slots;
  if (at >= 0) return [slots[at]];
  return [slots.find((slot) => !slot.taken) ?? slots[1]];
}

function onDrop(event) {
  event.preventDefault();
  mark(null);
  const files = [...event.dataTransfer.files];
  if (files.length === 1 || files.length === 2) take(files, placesFor(files.length, event.target));
  else tell("message", `Expected one or two files. Received: ${files.length}`);
}

function mark(target) {
  for (const { card } of slots) card.classList.toggle("over", card.contains(target));
}

async function onExample() {
  tell("message", "");
  try {
    take(await Promise.all(slots.map(({ id }) => fetchFile(EXAMPLES[id]))), slots);
  } catch (error) {
    tell("message", error.message);
  }
}

async function fetchFile(name) {
  const response = await fetch(name).catch((error) => ({ statusText: error.message }));
  if (!response.ok) throw new Error(`Cannot load ${name}: ${response.statusText}`);
  return new File([await response.blob()], name);
}

function setOpacity() {
  find("heatmap").style.opacity = find("opacity").value / 100;
}

for (const slot of slots) {
  slot.input.addEventListener("change", () => {
    take([...slot.input.files], [slot]);
    slot.input.value = ""; // so that choosing the same file again reads it again
  });
}
document.addEventListener("dragover", (event) => {
  event.preventDefault(); // or the browser would open the file
  mark(event.target);
});
document.addEventListener("dragleave", (event) => event.relatedTarget || mark(null));
document.addEventListener("drop", onDrop);
find("example").addEventListener("click", onExample);
find("opacity").addEventListener("input", setOpacity);
setOpacity();
tell("status", "");
