"use strict";
// What the report's script is made of: elements, numbers as words, plots. Elements get their text as
// text: nothing from the data is ever markup.
const parts = (() => {
  const NOTHING = "–";
  const charts = JSON.parse(document.getElementById("charts").textContent);

  function make(tag, text, attributes = {}, ...children) {
    const made = document.createElement(tag);
    if (text !== null && text !== undefined) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function number(value, digits = 2) {
    if (value === null || value === undefined) return NOTHING;
    const written = value.toLocaleString("en-US", {
      minimumFractionDigits: digits, maximumFractionDigits: digits,
    });
    return Number(written.replaceAll(",", "")) === 0 ? written.replace("-", "") : written;
  }

  function interval(found, digits = 2) {
    if (!found || found[0] === null) return NOTHING;
    const [value, low, high] = found;
    if (low === null || high === null) return number(value, digits);
    return `${number(value, digits)} [${number(low, digits)}, ${number(high, digits)}]`;
  }

  function table(caption, head, lines) {
    const columns = head.map((title) => make("th", title, { scope: "col" }));
    const body = lines.map((line) => make("tr", null, {}, ...line.map((cell, place) =>
      place === 0 ? make("th", cell, { scope: "row" }) : make("td", cell))));
    const made = make("table", null, {}, make("caption", null, {}, make("span", caption)),
      make("thead", null, {}, make("tr", null, {}, ...columns)), make("tbody", null, {}, ...body));
    return make("div", null,
      { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made);
  }

  const megabytes = (value) => number(value, value < 100 ? 1 : 0);

  const tip = make("div", null, { class: "tip", role: "presentation" });
  tip.hidden = true;

  function showTip(_handler, event, _item, value) {
    tip.hidden = !value;
    if (!value) return;
    tip.textContent = typeof value === "object" ? Object.values(value).join("\n") : String(value);
    const { clientX: x, clientY: y } = event;
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y + tip.offsetHeight + 24 > innerHeight ? y - tip.offsetHeight - 12 : y + 16}px`;
  }

  const drawn = new Map(); // what a place shows, so that late drawings do not replace newer ones

  async function draw(place, chart, datasets, description) {
    const target = document.getElementById(`plot-${place}`);
    const turn = Symbol(place);
    drawn.get(place)?.view?.finalize();
    drawn.set(place, { turn });
    if (!Object.values(datasets)[0].length) {
      target.replaceChildren(make("p", "Nothing to show.", { class: "empty" }));
      return;
    }
    const spec = { ...structuredClone(charts[chart]), datasets, description };
    const step = spec.usermeta?.step;
    if (step) spec.height = step * Object.values(datasets)[0].length;
    const made = make("div");
    made.style.width = "100%";
    target.replaceChildren(made);
    const { view } = await vegaEmbed(made, spec, {
      mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false,
      tooltip: showTip, logLevel: 1,
    });
    if (drawn.get(place).turn !== turn) return view.finalize();
    drawn.set(place, { turn, view });
    view.addEventListener("click", (_event, item) => {
      if (item?.datum?.row) location.hash = `row-${item.datum.row}`;
    });
  }

  return { NOTHING, make, number, interval, megabytes, table, tip, showTip, draw };
})();
