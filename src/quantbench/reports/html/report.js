// What the report does on the reader's side: filter, sort, open a row, say what is drawn.
(() => {
  const { NOTHING, make, number, interval, megabytes, table, tip, showTip, draw } = parts;
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const seriesAt = (at) =>
    Object.fromEntries(data.series_fields.map((name, place) => [name, data.series[at][place]]));
  const FIELD = Object.fromEntries(data.cell_fields.map((name, place) => [name, place]));
  const ROWS_AT_ONCE = 100;
  const MOST_LINES = 40; // in plots with a line per row
  const MOST_LABELS = 12;
  const MOST_BARS = 150; // more intervals hide each other
  const rows = data.models.filter((model) => model.row !== null);
  const others = data.models.filter((model) => model.row === null);
  const byNumber = new Map(rows.map((model) => [model.row, model]));
  const flipsOf = new Map(data.flips.map((found) => [found.row, found]));
  const state = { key: "row", down: false, limit: ROWS_AT_ONCE, shown: rows, row: null };

  // --- small helpers -------------------------------------------------------------------------

  const inCell = (model, place, field) => {
    const found = model.cells[place];
    return found ? found[FIELD[field]] : null;
  };
  const speedupAt = (model, place) => (place === "" ? model.speedup : model.cells[place] &&
    ["speedup", "speedup_low", "speedup_high"].map((field) => inCell(model, place, field)));
  const chosen = (id) => ($(id) ? $(id).value : "");
  const described = (model) => [model.name,
    ...data.parameters.map((name, place) => `${name}: ${model.values[place] ?? NOTHING}`)];

  // --- which rows, in which order -------------------------------------------------------------

  function sortValue(model, key) {
    const [kind, place] = key.split(":");
    switch (kind) {
      case "row": return model.row;
      case "parameter": return model.values[place];
      case "drop": return model.drops[place] ? model.drops[place][0] : null;
      case "speedup": return model.speedup ? model.speedup[0] : null;
      case "quantization": return model.quantization ? model.quantization[0] : null;
      case "size": return model.size_mb;
      case "memory": return model.memory_mb;
      case "status": return model.status;
      default: return inCell(model, place, "speedup");
    }
  }

  function compare(a, b) {
    const [x, y] = [sortValue(a, state.key), sortValue(b, state.key)];
    if (x === null || y === null) return (x === null) - (y === null) || a.row - b.row; // last
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return (state.down ? -order : order) || a.row - b.row;
  }

  function passes(model) {
    const limit = (id) => (chosen(id) === "" ? null : Number(chosen(id)));
    const [drop, speedup] = [limit("largest-drop"), limit("least-speedup")];
    return data.parameters.every((_, place) =>
      ["", model.values[place]].includes(chosen(`parameter-${place}`))) &&
      ["", model.status].includes(chosen("status")) &&
      (drop === null || (model.drops[0] && model.drops[0][0] <= drop)) &&
      (speedup === null || (model.speedup && model.speedup[0] >= speedup));
  }

  function chooseRows() {
    state.shown = rows.filter(passes).sort(compare);
    showLines();
    return drawAll();
  }

  function showLines() {
    const visible = new Set(state.shown.slice(0, state.limit).map((model) => model.row));
    for (const name of ["rows-table", "heat", "accuracy-table"]) {
      const body = $(name).tBodies[0];
      const lines = new Map([...body.rows].map((line) => [Number(line.dataset.row), line]));
      for (const line of lines.values()) line.hidden = !visible.has(Number(line.dataset.row));
      body.append(...state.shown.map((model) => lines.get(model.row)));
      for (const title of $(name).tHead.rows[0].cells) {
        const button = title.querySelector("button");
        if (!button) continue;
        const is = button.dataset.sort === state.key;
        title.setAttribute("aria-sort", is ? (state.down ? "descending" : "ascending") : "none");
      }
    }
    const left = state.shown.length - visible.size;
    $("more").hidden = left <= 0;
    $("more").textContent = `Show ${Math.min(left, ROWS_AT_ONCE)} more rows (${left} left)`;
    $("count").textContent = `${state.shown.length} of ${rows.length} rows` +
      (left > 0 ? `; the tables show the first ${visible.size}` : "");
  }

  // --- drawing --------------------------------------------------------------------------------

  function heatTip(event) {
    const cell = event.target.closest("td");
    const model = cell && byNumber.get(Number(cell.parentElement.dataset.row));
    const place = cell ? cell.cellIndex - 1 : 0;
    showTip(null, event, null, model && [...described(model), data.cells[place],
      model.cells[place] ? `speed-up: ${interval(speedupAt(model, place))}`
        : model.missing[place] ?? "not measured"].join("\n"));
  }

  function points() {
    const [metric, shape] = [chosen("pick-metric"), chosen("pick-shape")];
    const wanted = [...others, ...state.shown.filter((model) => model.distinct)];
    const found = wanted.map((model) => {
      const isOriginal = model.kind === "original";
      const drop = isOriginal ? [0, 0, 0] : model.drops[metric];
      const speedup = isOriginal ? [1, 1, 1] : speedupAt(model, shape);
      if (!drop || !speedup || speedup[0] === null) return null;
      return {
        name: model.name, row: model.row, kind: model.kind,
        x: speedup[0], x_low: speedup[1] ?? speedup[0], x_high: speedup[2] ?? speedup[0],
        y: drop[0], y_low: drop[1] ?? drop[0], y_high: drop[2] ?? drop[0],
        tip: [...described(model), `drop: ${interval(drop)} points`,
          `speed-up: ${interval(speedup)}${model.unresolved ? " (unresolved)" : ""}`].join("\n"),
      };
    }).filter(Boolean);
    let best = Infinity; // from the fastest on: a point is on the front if its drop is the least yet
    for (const point of [...found].sort((a, b) => b.x - a.x || a.y - b.y)) {
      point.front = point.y < best;
      best = Math.min(best, point.y);
    }
    const many = found.length > MOST_BARS;
    for (const point of found) {
      const plain = point.kind === "quantized" && !point.front;
      point.strength = !plain ? 1 : many ? 0.2 : 0.55;
      if (plain && many) {
        [point.x_low, point.x_high, point.y_low, point.y_high] = [point.x, point.x, point.y, point.y];
      }
    }
    found.sort((a, b) => weight(a) - weight(b)); // what matters is drawn last
    label(found);
    return found;
  }

  const weight = (point) => (point.name === data.recommended) * 4 +
    (point.kind !== "quantized") * 2 + point.front;

  // Names the points that matter most, above or below them, where no other name is in the way.
  function label(found) {
    const span = (low, high) => {
      const [from, to] = [Math.min(...found.map(low)), Math.max(...found.map(high))];
      return (value) => (value - from) / (to - from || 1);
    };
    const [across, along] = [span((p) => p.x_low, (p) => p.x_high), span((p) => p.y_low, (p) => p.y_high)];
    const [width, height] = [$("plot-pareto").clientWidth - 110, 300];
    const taken = [];
    const wanted = found.filter((point) => found.length <= MOST_LABELS || weight(point) > 0);
    for (const point of found) [point.label, point.below] = ["", false];
    for (const point of wanted.sort((a, b) => weight(b) - weight(a) || b.x - a.x)) {
      const text = point.name + (point.name === data.recommended ? " (recommended)" : "");
      const box = (below) => ({ x: across(point.x) * width, below, half: text.length * 3.4,
        y: along(point.y) * height + (below ? 15 : -13) });
      const free = taken.length >= MOST_LABELS ? undefined : [box(false), box(true)].find((wanted) =>
        taken.every((other) => Math.abs(other.x - wanted.x) > other.half + wanted.half ||
          Math.abs(other.y - wanted.y) > 14));
      point.label = free ? text : "";
      point.below = Boolean(free?.below);
      if (free) taken.push(free);
    }
  }

  function drawPareto(found) {
    const metric = data.metrics[chosen("pick-metric")];
    const shape = chosen("pick-shape");
    const where = shape === "" ? "geometric mean over all shapes" : data.cells[shape];
    const margin = chosen("pick-metric") === "0" && data.margin_points !== null
      ? [{ at: data.margin_points }] : [];
    const title = `Drop in ${metric} against speed-up over ${data.original_name} (${where}): ` +
      `${found.length} models.` + (found.length > MOST_BARS
      ? " Only rows that no other is better than have their intervals drawn." : "");
    $("about-pareto").textContent = title;
    return draw("pareto", "pareto", { points: found, front: found.filter((p) => p.front), margin }, title);
  }

  function drawAccuracy(found) {
    const order = new Map(state.shown.map((model, place) => [model.row, place]));
    const lines = found.filter((point) => point.row !== null)
      .sort((a, b) => order.get(a.row) - order.get(b.row));
    const margin = chosen("pick-metric") === "0" && data.margin_points !== null
      ? [{ at: data.margin_points }] : [];
    const first = lines.length > MOST_LINES ? ` The first ${MOST_LINES} of ${lines.length} rows.` : "";
    const title = `Drop in ${data.metrics[chosen("pick-metric")]} with its 95 % interval, by row.${first}`;
    $("about-accuracy").textContent = title;
    return draw("accuracy", "accuracy", { points: lines.slice(0, MOST_LINES), zero: [{ at: 0 }], margin }, title);
  }

  function drawSizes() {
    const wanted = [...others, ...state.shown.filter((model) => model.distinct)];
    const lines = wanted.slice(0, MOST_LINES);
    const first = wanted.length > lines.length ? ` The first ${lines.length} of ${wanted.length}.` : "";
    for (const [place, field, title] of [["file-mb", "size_mb", "Size of the model's file, MB."],
      ["memory-mb", "memory_mb", "Largest resident memory of its process in any shape, MB."]]) {
      const bars = lines.filter((model) => model[field] !== null).map((model) => ({
        name: model.name, row: model.row, kind: model.kind, value: model[field],
        label: megabytes(model[field]), tip: `${model.name}: ${megabytes(model[field])} MB`,
      }));
      $(`about-${place}`).textContent = title + first;
      draw(place, "megabytes", { bars }, title);
    }
    $("size-data").replaceChildren(table("File and largest memory, MB", ["model", "file", "memory"],
      lines.map((model) => [model.name, megabytes(model.size_mb), megabytes(model.memory_mb)])));
  }

  function drawAll() {
    const found = points();
    drawSizes();
    return Promise.all([drawPareto(found), drawAccuracy(found)]);
  }

  // --- one row --------------------------------------------------------------------------------

  function openRow(model, focus) {
    state.row = model.row;
    for (const line of document.querySelectorAll("tr[data-row]")) {
      if (Number(line.dataset.row) === model.row) line.setAttribute("aria-current", "true");
      else line.removeAttribute("aria-current");
    }
    $("pick-row").value = String(model.row);
    $("row-title").textContent = model.name.replace("row", "Row") +
      (model.name === data.recommended ? " (recommended)" : "") +
      (model.status === "measured" ? "" : `: ${model.status}`);
    const facts = data.parameters.map((name, place) => [name, model.values[place]]);
    data.metrics.forEach((name, place) => facts.push(
      [`drop in ${name}, points`, interval(model.drops[place])]));
    facts.push(["speed-up, all shapes", interval(model.speedup) + (model.unresolved ? " (unresolved)" : "")],
      ["speed-up over fp32, all shapes", interval(model.quantization)],
      ["file, MB", megabytes(model.size_mb)], ["largest memory, MB", megabytes(model.memory_mb)]);
    if (model.problem) facts.push(["what is not there", model.problem]);
    $("row-facts").replaceChildren(table(`${model.name}: what it is`, ["", ""], facts), times(model));
    showFlips(model);
    drawTimes(model);
    if (focus) {
      $("one-row").scrollIntoView();
      $("row-title").focus({ preventScroll: true });
    }
  }

  function times(model) {
    const value = data.measured ? "p50" : "mean";
    const head = ["shape", `${value}, ms`, "p90, ms", `original ${value}, ms`, `fp32 ${value}, ms`,
      "samples/s", "speed-up", "over fp32", "memory, MB", "forwards"];
    return table(`${model.name}: times by shape`, head, data.cells.map((name, place) => {
      if (!model.cells[place]) return [name, model.missing[place] ?? "not measured"];
      const of = (field, digits) => number(inCell(model, place, field), digits);
      const ratio = (field) => interval([field, `${field}_low`, `${field}_high`]
        .map((item) => inCell(model, place, item)));
      const mark = inCell(model, place, "unresolved") ? " (unresolved)" : "";
      return [name, of("time"), of("p90"), of("original"), of("reference"), of("samples_per_s", 1),
        ratio("speedup") + mark, ratio("quantization"), megabytes(inCell(model, place, "memory_mb")), of("forwards", 0)];
    }));
  }

  function drawTimes(model) {
    const place = Number(chosen("pick-times"));
    const names = [data.original_name, "ONNX Runtime fp32", model.name];
    const kinds = ["original", "reference", "quantized"];
    const places = model.series[place] ?? [null, null, null];
    const found = places.map((at, n) => ({
      name: names[n], kind: kinds[n], series: at === null ? null : seriesAt(at),
    }));
    if (places[0] !== null && places[0] === places[1]) found[0].series = null; // one file, once
    if (places[1] !== null && places[1] === places[2]) found[2].series = null;
    const lines = [];
    found.forEach(({ name, kind, series }, n) => {
      const bins = series === null ? [] : series.counts.map((count, at) => ({
        start: series.low_ms + at * series.step_ms, end: series.low_ms + (at + 1) * series.step_ms,
        count, kind, tip: `${number(series.low_ms + at * series.step_ms, 3)} ms` +
          `${at === series.counts.length - 1 ? " and more" : ""}: ${count} forwards`,
      }));
      const title = series === null ? `${name}: no raw times of its own here.` :
        `${name}: median ${number(series.median_ms, 3)} ms, slowest ${number(series.max_ms, 3)} ms; ` +
        `the last bar has the slowest 1 %.`;
      $(`about-distribution-${n}`).textContent = title;
      draw(`distribution-${n}`, "distribution", { bins }, title);
      lines.push(...bins.map((bin) => [name, "distribution", number(bin.start, 3), bin.count]));
    });
    const rounds = found.filter(({ series }) => series).flatMap(({ name, kind, series }) =>
      series.rounds_ms.map((ms, at) => ({
        kind, round: at * series.rounds_per_point, relative: ms / series.median_ms, ms, name,
        tip: `${name}\nround ${at * series.rounds_per_point}: ${number(ms, 3)} ms`,
      })));
    const first = found.find(({ series }) => series)?.series;
    const thinned = first && first.rounds_per_point > 1
      ? ` Each point stands for ${first.rounds_per_point} of ${first.num_rounds} rounds.` : "";
    const title = first ? `${model.name} at ${data.cells[place]}: ` +
      found.filter(({ series }) => series).map(({ name, kind }) =>
        `${name} (${{ original: "grey squares", reference: "yellow diamonds", quantized: "blue circles" }[kind]})`)
        .join(", ") + `.${thinned}` : `${model.name} has no raw times here.`;
    $("about-rounds").textContent = title;
    draw("rounds", "rounds", {
      rounds, one: [{ at: 1 }], sets: (first?.set_starts ?? []).slice(1).map((round) => ({ round })),
    }, title);
    lines.push(...rounds.map((point) => [point.name, "round", point.round, number(point.ms, 3)]));
    $("times-data").replaceChildren(table(
      "Distribution: milliseconds from which on, and forwards. Rounds: number, and milliseconds.",
      ["model", "plot", "at", "value"], lines));
  }

  function showFlips(model) {
    const command = `quantbench errors RUN --row ${model.row}`;
    const found = flipsOf.get(model.row);
    if (!found) {
      $("row-flips").replaceChildren(make("p", data.measured && model.drops[0] && model.distinct
        ? `This page has the samples of the ${data.flips.length} worst rows only: ${command} lists these.`
        : "No answers are known for this row itself."));
      return;
    }
    const known = found.samples.some((sample) => sample.inputs.length);
    const said = `Of ${number(found.num_samples, 0)} samples ${found.num_worse} got worse and ` +
      `${found.num_better} better; ${found.num_other} more have another answer that is as good.` +
      (known || !found.samples.length ? "" : ` What the samples hold is not in the run: ${command}, ` +
        "then quantbench report RUN, shows it here.");
    const inputs = [...new Set(found.samples.flatMap((sample) => sample.inputs.map(([name]) => name)))];
    const lines = found.samples.map((sample) => [sample.sample_id,
      ...inputs.map((name) => new Map(sample.inputs).get(name) ?? NOTHING), sample.original,
      sample.optimized, sample.scores.map(([name, old, now]) =>
        `${name} ${number(old, 3)} → ${number(now, 3)}`).join(", ")]);
    const caption = `${model.name}: the ${lines.length} samples that changed most, worst first`;
    $("row-flips").replaceChildren(make("p", said), ...(lines.length ? [table(caption,
      ["sample", ...inputs, "original's answer", "this row's answer", "scores"], lines)] : []));
  }

  function follow(focus) {
    const asked = /^#row-(\d+)$/.exec(location.hash);
    if (!asked) return;
    const model = byNumber.get(Number(asked[1]));
    if (model) openRow(model, focus);
    else $("count").textContent = `There is no row ${asked[1]} in this report.`;
  }

  // --- start ----------------------------------------------------------------------------------

  function start() {
    document.documentElement.classList.add("with-script");
    document.body.append(tip);
    // The browser would go to the line of the table; the row's own section has all of it.
    for (const line of $("rows-table").tBodies[0].rows) line.removeAttribute("id");
    $("filters").addEventListener("input", () => { state.limit = ROWS_AT_ONCE; chooseRows(); });
    $("filters").addEventListener("reset", () => setTimeout(chooseRows));
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("more").addEventListener("click", () => { state.limit += ROWS_AT_ONCE; showLines(); });
    $("heat").addEventListener("mousemove", heatTip);
    $("heat").addEventListener("mouseleave", () => { tip.hidden = true; });
    for (const id of ["pick-metric", "pick-shape"]) $(id).addEventListener("change", drawAll);
    for (const button of document.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => {
        const key = button.dataset.sort;
        // Fast and large come first where that is what is looked for.
        const down = key.startsWith("cell") || ["speedup", "quantization"].includes(key);
        state.down = state.key === key ? !state.down : down;
        state.key = key;
        chooseRows();
      });
    }
    if (!rows.length) return;
    const step = (by) => {
      const at = state.shown.findIndex((model) => model.row === state.row);
      const next = state.shown[at < 0 ? 0 : at + by];
      if (next) location.hash = `row-${next.row}`;
    };
    $("previous-row").addEventListener("click", () => step(-1));
    $("next-row").addEventListener("click", () => step(1));
    $("pick-row").addEventListener("change", () => { location.hash = `row-${chosen("pick-row")}`; });
    $("pick-times").addEventListener("change", () => drawTimes(byNumber.get(state.row)));
    addEventListener("hashchange", () => follow(true));
    const named = rows.find((model) => model.name === data.recommended);
    openRow(named ?? rows.find((model) => model.speedup) ?? rows[0], false);
    chooseRows().then(() => follow(true)); // what is drawn above a row moves it
  }

  start();
})();
