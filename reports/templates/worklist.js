"use strict";
(() => {
  const filters = document.getElementById("filters");
  const text = document.getElementById("text");
  const kind = document.getElementById("kind");
  const shown = document.getElementById("shown");
  const rows = Array.from(document.querySelectorAll("tbody tr[data-kinds]"));
  const contents = rows.map((row) => row.textContent.toLowerCase());
  const apply = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, index) => {
      const kinds = row.dataset.kinds.split(" ");
      const fits = (kind.value === "" || kinds.includes(kind.value)) && words.every((word) => contents[index].includes(word));
      row.hidden = !fits;
      count += fits ? 1 : 0;
    });
    shown.textContent = `${count} of ${rows.length} shown`;
  };
  text.addEventListener("input", apply);
  kind.addEventListener("change", apply);
  filters.hidden = false;
  apply();
})();
