"use strict";
{
  const OTHER = { color: "#CCCCCC", symbol: "circle" };
  const byId = (id) => document.getElementById(id);

  const decompress = async (id) => {
    const bytes = Uint8Array.from(atob(byId(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  // The traces of the chosen genres in their colours, above all others in grey.
  const tracesOf = (traces, choice) => {
    const isShown = ({ meta }) =>
      choice === "all" || (choice === "frequent" ? meta.frequent : choice === `genre:${meta.genre}`);
    const grey = traces.filter((trace) => !isShown(trace)).map((trace, index) => ({
      ...trace,
      name: "other",
      legendgroup: "other",
      showlegend: index === 0,
      marker: { ...trace.marker, ...OTHER },
    }));
    return [...grey, ...traces.filter(isShown)];
  };

  const fillChoices = (select, traces) => {
    const frequent = traces.filter(({ meta }) => meta.frequent).length;
    const genres = traces.map(({ meta }) => meta.genre).sort((a, b) => a.localeCompare(b));
    select.add(new Option(`${frequent} most frequent`, "frequent"));
    select.add(new Option(`all ${genres.length}`, "all"));
    for (const genre of genres) select.add(new Option(genre, `genre:${genre}`));
  };

  // On a touch screen a finger on the map scrolls the page; the buttons zoom.
  const layoutFor = (layout, isTouch, isNarrow) => ({
    ...layout,
    uirevision: "map",
    dragmode: isTouch ? false : layout.dragmode,
    legend: isNarrow ? { ...layout.legend, orientation: "h", y: -0.02 } : layout.legend,
  });

  const draw = async () => {
    if (!document.createElement("canvas").getContext("webgl")) {
      byId("map-status").textContent = "This browser has no WebGL: the map is a static image.";
      return;
    }
    const library = document.createElement("script");
    library.textContent = await decompress("plotly");
    document.head.append(library);
    const { data, layout } = JSON.parse(await decompress("movies"));
    const map = byId("map"), select = byId("map-genres");
    const isTouch = matchMedia("(pointer: coarse)").matches;
    const isNarrow = matchMedia("(max-width: 40rem)").matches;
    const config = { responsive: true, scrollZoom: !isTouch, displaylogo: false };
    const show = (choice) =>
      Plotly.react(map, tracesOf(data, choice), layoutFor(layout, isTouch, isNarrow), config);
    fillChoices(select, data);
    map.hidden = byId("map-choice").hidden = false;
    await show("frequent");
    byId("map-still").hidden = true;
    map.dataset.drawn = "frequent";
    select.addEventListener("change", async () => {
      await show(select.value);
      map.dataset.drawn = select.value;
    });
  };

  draw().catch((error) => {
    byId("map").hidden = byId("map-choice").hidden = true;
    byId("map-still").hidden = false;
    byId("map-status").textContent = `The map is a static image, because the interactive one failed: ${error.message}.`;
  });
}
