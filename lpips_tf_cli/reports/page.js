"use strict";

const table = document.querySelector(".examples");
const body = table.tBodies[0];
const rows = [...body.rows];
const names = new Map(rows.map((row) => [row, row.querySelector(".name").textContent]));
const order = new Intl.Collator(undefined, { numeric: true });

function key(row, column) {
  return column === 0 ? names.get(row) : Number(row.cells[column].dataset.value);
}

function sort(header) {
  const column = header.cellIndex;
  const before = header.getAttribute("aria-sort");
  // At first numbers are sorted from the largest, names from A.
  const descending = before ? before === "ascending" : column > 0;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const compare = column === 0 ? order.compare : (a, b) => a - b;
  const keys = new Map(rows.map((row) => [row, key(row, column)]));
  rows.sort((a, b) => (descending ? -1 : 1) * compare(keys.get(a), keys.get(b)));
  body.append(...rows);
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/);
  let count = 0;
  for (const row of rows) {
    const name = names.get(row).toLowerCase();
    row.hidden = !words.every((word) => name.includes(word));
    count += !row.hidden;
  }
  document.getElementById("count").textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
}

for (const button of table.tHead.querySelectorAll("button")) {
  button.addEventListener("click", () => sort(button.closest("th")));
}
const search = document.getElementById("filter");
search.addEventListener("input", () => filter(search.value));
filter(search.value); // browsers keep what was typed before
