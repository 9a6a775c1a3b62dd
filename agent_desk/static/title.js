// What a tab in the background has to tell stands before the page's title: it shows nothing else.

const plain = document.title;
const ORDER = ["news", "emergency", "rings"];
const told = new Map();

/** Tell this, or nothing of the kind any more with "". */
export function tellInTitle(kind, text) {
  told.set(kind, text);
  document.title = [...ORDER.map((one) => told.get(one)).filter(Boolean), plain].join(" · ");
}
