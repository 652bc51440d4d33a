"use strict";
// Filters the report by region, season, channel and candidate.
(() => {
  const chooser = document.getElementById("chooser");
  const names = ["region", "times", "channel", "candidate"];
  const sections = [...document.querySelectorAll("main > details")];

  const chosen = (name) => chooser.elements[name]?.value ?? "";

  // An element without a channel or candidate belongs to all; region and times are always given.
  const hides = (element) => names.some((name) => {
    const own = element.dataset[name];
    if (own === undefined) return false;
    const wanted = chosen(name);
    const everything = wanted === "" && (name === "channel" || name === "candidate");
    return !everything && own !== wanted;
  });

  // A figure lists the seasons, months and candidates that it shows; for all times the list is empty.
  const lacks = (figure, name, list) => {
    const wanted = chosen(name);
    return wanted !== "" && !JSON.parse(figure.dataset[list]).includes(wanted);
  };

  // If a rule leaves no figure, the next one is used, so that the page is never empty.
  const rules = [
    ["", (f) => !hides(f) && !lacks(f, "candidate", "shownCandidates") && !lacks(f, "times", "shownTimes")],
    ["of this season", (f) => !hides(f) && !lacks(f, "candidate", "shownCandidates")],
    ["of this season and candidate", (f) => !hides(f)],
    ["of this choice", (f) => f.dataset.region === ""],
    ["of this choice", () => true],
  ];

  const show = () => {
    const figures = [...document.querySelectorAll("[data-shown-times]")];
    for (const element of document.querySelectorAll(names.map((n) => `[data-${n}]`).join(","))) {
      element.hidden = hides(element);
    }
    const [missing, matches] = rules.find(([, rule]) => figures.some(rule)) ?? rules[0];
    for (const figure of figures) figure.hidden = !matches(figure);
    let count = 0;
    for (const section of document.querySelectorAll("details.figures")) {
      const here = section.querySelectorAll("[data-shown-times]:not([hidden])").length;
      count += here;
      section.hidden = here === 0;
      document.querySelector(`nav a[href="#${section.id}"]`).hidden = here === 0;
      section.querySelector(".count").textContent = `${here} figure${here === 1 ? "" : "s"}`;
    }
    const tables = document.querySelectorAll("#scores > section:not([hidden])").length;
    document.getElementById("shown").textContent =
      (missing && figures.length ? `no figure ${missing}, others instead: ` : "") +
      `${count} figure${count === 1 ? "" : "s"}, ` + (tables ? "" : "no ") + "table of scores";
  };

  const unfold = document.getElementById("unfold");
  unfold.addEventListener("click", () => {
    const open = unfold.getAttribute("aria-pressed") !== "true";
    unfold.setAttribute("aria-pressed", String(open));
    for (const section of sections) section.open = open;
  });

  // A link into a closed section opens it.
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const section = target && target.closest("details");
    if (section) {
      section.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);
  addEventListener("beforeprint", () => sections.forEach((section) => { section.open = true; }));

  chooser.addEventListener("change", show);
  chooser.addEventListener("submit", (event) => event.preventDefault());
  chooser.hidden = false;
  show();
  reveal();
})();
