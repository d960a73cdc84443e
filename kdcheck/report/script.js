// Filters for board and cards; without this script all of them are shown.
"use strict";
(() => {
  const bar = document.querySelector(".filters");
  const search = bar.querySelector("input");
  const buttons = [...bar.querySelectorAll("button")];
  const cards = [...document.querySelectorAll("article[data-word]")];
  const items = [...document.querySelectorAll("[data-word]")];
  const groups = [...document.querySelectorAll(".theme, .standing")];
  let word = "";
  bar.hidden = false;

  const show = () => {
    const wanted = search.value.trim().toLowerCase().split(/\s+/);
    const fits = (item) => (!word || item.dataset.word === word)
      && wanted.every((part) => item.dataset.text.includes(part));
    items.forEach((item) => { item.hidden = !fits(item); });
    groups.forEach((group) => { group.hidden = !group.querySelector("[data-word]:not([hidden])"); });
    const left = cards.filter((card) => !card.hidden).length;
    bar.querySelector("[role=status]").textContent =
      left === cards.length ? "" : `${left} of ${cards.length} shown`;
  };
  buttons.forEach((button) => button.addEventListener("click", () => {
    word = button.dataset.filter;
    buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    show();
  }));
  search.addEventListener("input", show);
  // Paper cannot be unfolded.
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((each) => { each.open = true; });
  });
})();
