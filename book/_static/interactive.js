/* Brings the figures of helpers/interactive.py to life. Without it their drawings stay as they are.
   Words come from corpora: they are only ever set as text. */
(() => {
  "use strict";

  const SECONDS = 0.35; // that points take from one layer to the next
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const make = (name, parent, attributes = {}) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    parent.append(node);
    return node;
  };

  const signed = (number) => number.toFixed(3).replace("-", "−");

  /* Two maps of cosines: one cell is current in both, by pointer, focus or arrow keys. */
  const pairs = (figure, { words, start, models }) => {
    const n = words.length;
    const readout = figure.querySelector(".readout");
    const says = (i, j) => {
      const numbers = models.map(({ name, cosines }) => `${signed(cosines[i][j])} in ${name}`);
      return `${words[i]}, ${words[j]}: cosine ${numbers.join(" and ")}`;
    };
    const maps = [...figure.querySelectorAll(".panel > svg")].map((svg) => ({
      svg,
      cells: [...svg.querySelectorAll(".cell")],
      mark: svg.querySelector(".chosen"),
      rows: svg.querySelectorAll(".row"),
      columns: svg.querySelectorAll(".column"),
    }));
    let current = start[0] * n + start[1];

    const choose = (next) => {
      const [i, j] = [Math.floor(next / n), next % n];
      for (const { cells, mark, rows, columns } of maps) {
        cells[current].setAttribute("tabindex", "-1");
        cells[next].setAttribute("tabindex", "0");
        for (const side of ["x", "y"]) mark.setAttribute(side, cells[next].getAttribute(side));
        rows.forEach((word, k) => word.classList.toggle("current", k === i));
        columns.forEach((word, k) => word.classList.toggle("current", k === j));
      }
      current = next;
      readout.textContent = says(i, j);
    };

    const moved = (key) => {
      const [i, j] = [Math.floor(current / n), current % n];
      return {
        ArrowUp: i > 0 && current - n,
        ArrowDown: i < n - 1 && current + n,
        ArrowLeft: j > 0 && current - 1,
        ArrowRight: j < n - 1 && current + 1,
        Home: i * n,
        End: i * n + n - 1,
      }[key];
    };

    for (const { svg, cells } of maps) {
      svg.setAttribute("role", "group");
      cells.forEach((cell, k) => {
        cell.replaceChildren(); // the browser's own tooltip
        cell.setAttribute("role", "img");
        cell.setAttribute("aria-label", says(Math.floor(k / n), k % n));
        cell.setAttribute("tabindex", "-1");
        cell.addEventListener("pointerover", () => choose(k));
        cell.addEventListener("focus", () => choose(k));
      });
      svg.addEventListener("keydown", (event) => {
        const next = moved(event.key);
        if (next === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault(); // the page would scroll
        if (next !== false) cells[next].focus();
      });
    }
    const hint = make("p", figure, { class: "hint" });
    hint.textContent = "Point at a cell, or move from cell to cell with the arrow keys.";
    choose(current);
  };

  /* Points in a plane at each layer: a slider moves them. Of the drawings the last one is kept. */
  const planes = (figure, { words, layers }) => {
    const panels = [...figure.querySelectorAll(".panel")];
    const panel = panels.pop();
    panels.forEach((other) => other.remove());
    const [svg, title] = [panel.querySelector(":scope > svg"), panel.querySelector(".title")];
    const readout = figure.querySelector(".readout");
    const [ways, bases, tuned, labels] = [".way", ".base", ".tuned", ".word"].map((each) =>
      svg.querySelectorAll(each)
    );
    const places = layers.map(({ base, tuned, labels }) => [base, tuned, labels].flat(2));
    let [now, frame] = [places.at(-1), 0];

    const draw = (numbers) => {
      const n = words.length;
      for (let k = 0; k < n; k++) {
        const [x, y, toX, toY, atX, atY] = [k, n + k, 2 * n + k].flatMap((at) =>
          numbers.slice(2 * at, 2 * at + 2)
        );
        const set = (node, values) => {
          for (const [key, value] of Object.entries(values)) node.setAttribute(key, value.toFixed(1));
        };
        set(ways[k], { x1: x, y1: y, x2: toX, y2: toY });
        set(bases[k], { cx: x, cy: y });
        set(tuned[k], { cx: toX, cy: toY });
        set(labels[k], { x: atX, y: atY });
      }
      now = numbers;
    };

    const go = (goal) => {
      cancelAnimationFrame(frame);
      if (still.matches) return draw(goal);
      const [from, begun] = [now, performance.now()];
      const step = (time) => {
        const passed = Math.min(1, Math.max(0, (time - begun) / (1000 * SECONDS)));
        const share = passed * passed * (3 - 2 * passed);
        draw(passed === 1 ? goal : goal.map((value, k) => from[k] + share * (value - from[k])));
        if (passed < 1) frame = requestAnimationFrame(step);
      };
      frame = requestAnimationFrame(step);
    };

    const row = make("label", figure, { class: "slider" });
    make("span", row).textContent = "Layer";
    const slider = make("input", row, { type: "range", min: 0, max: layers.length - 1, step: 1 });
    slider.value = layers.length - 1;
    const show = () => {
      const { name, note } = layers[slider.value];
      title.textContent = name;
      readout.textContent = note;
      slider.setAttribute("aria-valuetext", `${name}. ${note}`);
      svg.setAttribute("aria-label", `${name}. ${note}`);
    };
    slider.addEventListener("input", () => {
      show();
      go(places[slider.value]);
    });
    figure.insertBefore(row, figure.firstChild);
    show();
  };

  const kinds = { pairs, planes };
  const begin = () => {
    for (const figure of document.querySelectorAll(".interactive[data-kind]")) {
      const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
      figure.classList.add("live");
      kinds[figure.dataset.kind](figure, data);
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
