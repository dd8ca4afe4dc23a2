"use strict";
// What a page does beyond being read: live charts where one is pointed at, sorting, filtering, copying, printing whole.
(() => {
  const all = (what, where = document) => [...where.querySelectorAll(what)];

  // Each picture becomes a live chart when a reader first reaches for it. One that fails stays a picture.
  const options = {
    mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  };
  const widest = 1130, narrow = 600;

  let library = null;
  const load = () => (library ??= unpack());
  const unpack = async () => {
    const packed = Uint8Array.from(atob(document.querySelector("#library").textContent), (c) => c.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text(); // its hash is in the page's policy
    document.head.append(script);
  };

  const fitted = (text, width) => {
    const spec = JSON.parse(text);
    spec.config.font = getComputedStyle(document.body).fontFamily;
    spec.padding = 4;
    if (spec.vconcat) for (const view of spec.vconcat) view.width = Math.max(160, width - 92);
    else spec.width = width;
    if (width < narrow) {
      spec.config.axisY.labelLimit = Math.round(width * 0.32);
      spec.config.legend.columns = width < 480 ? 1 : spec.config.legend.columns;
      spec.config.legend.labelLimit = Math.round(width * 0.7);
      if (spec.layer) spec.layer = spec.layer.filter((layer) => layer.name !== "names");
    }
    return spec;
  };

  const draw = async (figure) => {
    const place = figure.querySelector(".chart");
    const text = figure.querySelector("script").textContent;
    const drawn = { width: 0, view: null };
    const show = async () => {
      const width = Math.min(widest, place.clientWidth);
      if (width === 0 || width === drawn.width) return;
      drawn.width = width;
      const live = document.createElement("div");
      const result = await vegaEmbed(live, fitted(text, width), options);
      if (drawn.view) drawn.view.finalize();
      drawn.view = result.view;
      place.replaceChildren(live);
      figure.classList.add("live");
    };
    await show();
    if (text.includes('"bind":"scales"')) {
      const hint = document.createElement("small");
      hint.textContent = "Drag to pan, Ctrl + wheel to zoom, double-click to reset.";
      figure.querySelector("figcaption").append(hint);
    }
    let waiting = 0;
    new ResizeObserver(() => {
      clearTimeout(waiting);
      waiting = setTimeout(() => show().catch(() => {}), 150);
    }).observe(place);
  };

  for (const figure of all("figure").filter((each) => each.querySelector("script"))) {
    const start = () => {
      for (const event of ["pointerenter", "focusin"]) figure.removeEventListener(event, start);
      load().then(() => draw(figure)).catch(() => {}).finally(() => figure.classList.add("tried"));
    };
    for (const event of ["pointerenter", "focusin"]) figure.addEventListener(event, start);
  }

  // Tables sort by a click on a head; long ones can be filtered.
  const value = (row, column) => {
    const text = row.cells[column].querySelector("s, span[style]")?.textContent ?? row.cells[column].firstChild?.textContent ?? "";
    const [, number, prefix, binary] = text.trim().match(/^([\d.,]+)\s?(?:([nµmkKMGT])(i?)(?=s\b|J\b|W\b|B\b|Hz\b))?/) ?? [];
    if (!number) return text.trim();
    const size = prefix ? { n: 1e-9, µ: 1e-6, m: 1e-3, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12 }[prefix] : 1;
    return parseFloat(number.replace(/,/g, "")) * (binary ? 1024 ** Math.round(Math.log10(size) / 3) : size);
  };
  const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  for (const table of all("table.sortable")) {
    const body = table.tBodies[0], rows = [...body.rows];
    all("th", table.tHead).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.setAttribute("aria-label", `Sort by ${head.textContent.trim()}`);
      head.append(button);
      button.addEventListener("click", () => {
        const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const other of all("th", table.tHead)) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        body.append(...[...body.rows].sort((a, b) => way * order(value(a, column), value(b, column))));
      });
    });
    if (rows.length < 9) continue;
    const filter = document.createElement("input");
    filter.type = "search";
    filter.placeholder = `Filter ${rows.length} rows`;
    filter.setAttribute("aria-label", `Filter: ${table.caption.textContent}`);
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/);
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    });
    table.parentElement.before(filter);
  }

  const copy = document.querySelector("#copy");
  if (copy) {
    copy.parentElement.hidden = false;
    copy.addEventListener("click", async () => {
      const text = document.querySelector("#copied").content.textContent;
      const says = copy.parentElement.querySelector("[role=status]");
      try {
        await navigator.clipboard.writeText(text);
        says.textContent = "Copied.";
      } catch {
        says.textContent = "This browser does not allow it for files; `gpuprof compare ... --format md` prints it.";
      }
    });
  }

  // Paper shows what the screen folds away.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of opened) fold.open = false; });

  // A link into a fold opens it.
  const reveal = () => {
    const target = location.hash ? document.getElementById(location.hash.slice(1)) : null;
    const fold = target?.querySelector("details:only-of-type");
    if (fold) fold.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
  document.documentElement.classList.add("ready");
})();
