// Small tools for pages that a feed draws: rows out of templates, texts that enter by textContent
// alone, and lists in which only what differs is touched, so that focus and what is typed stay.

export const byId = (id) => document.getElementById(id);

export function made(template) {
  return byId(template).content.firstElementChild.cloneNode(true);
}

/** Put text into the slot of a row, or into an element itself. */
export function say(row, field, text) {
  const slot = field ? row.querySelector(`[data-f="${field}"]`) : row;
  if (slot.textContent !== text) slot.textContent = text;
  return slot;
}

export function pill(row, field, text, tone = "") {
  say(row, field, text).className = `pill ${tone}`;
}

/** A sentence with its {gaps} filled. */
export function filled(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (gap, name) => values[name] ?? gap);
}

/** Put rows into a list in this order, touching only what has moved. */
export function arrange(list, wanted, empty) {
  // First what has gone: else every row behind it would be moved.
  const stay = new Set(wanted);
  for (const row of [...list.children]) if (!stay.has(row)) row.remove();
  wanted.forEach((row, place) => {
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  });
  if (empty) empty.hidden = wanted.length > 0;
}

/** Rows by key, each made once out of its template: a row that stays keeps its focus. */
export class Rows {
  #rows = new Map();

  /** Show these as the rows of a list; `draw(row, one)` fills one, `keyOf(one)` tells it. */
  show(list, template, ones, keyOf, draw, empty) {
    const name = (one) => `${list.id} ${keyOf(one)}`;
    const wanted = ones.map((one) => {
      if (!this.#rows.has(name(one))) this.#rows.set(name(one), made(template));
      const row = this.#rows.get(name(one));
      draw(row, one);
      return row;
    });
    arrange(list, wanted, empty);
    const known = new Set(ones.map(name));
    for (const key of [...this.#rows.keys()])
      if (key.startsWith(`${list.id} `) && !known.has(key)) this.#rows.delete(key);
  }
}
