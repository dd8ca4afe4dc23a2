"use strict";
// Replaces each picture by its live chart. A chart that fails leaves its picture in place.
(() => {
  const options = {
    mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  };
  const widest = 880, narrow = 600;

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

  const figures = [...document.querySelectorAll("figure")].filter((figure) => figure.querySelector("script"));
  Promise.allSettled(figures.map(draw)).then(() => document.documentElement.classList.add("ready"));

  // Paper shows what the screen folds away.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of opened) fold.open = false; });
})();
