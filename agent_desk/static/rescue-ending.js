// The end of an emergency on paper: the record, the closing, and the asking after within two days.

import { byId, filled, say } from "/static/drawing.js";

const WRITTEN = { record: ["open", "recorded"], close: ["recorded"], "follow-up": ["closed"] };

export function drawEnding(kase, page) {
  const { closing } = kase;
  const ending = byId("ending");
  // Helpers who are there can be recorded while the elder is on the line still.
  ending.hidden = !kase.closed && !kase.legs.some((leg) => leg.arrived !== null);
  for (const form of ending.querySelectorAll("form")) {
    const wish = form.dataset.wish;
    form.hidden = !WRITTEN[wish].includes(closing.state) || (wish === "close" && !kase.closed);
  }
  const by = (one) => (one ? filled(page.words.say.written, { by: one.by, at: page.day(one.at) }) : "");
  say(ending, "record", by(closing.record));
  const outcome = page.words.outcome[closing.outcome] ?? "";
  say(ending, "closed", closing.changes ? `${outcome} · ${closing.record.text} · ${by(closing.changes)}` : "");
  say(ending, "asked_after", closing.asked_after ? `${outcome} · ${closing.asked_after.text} · ${by(closing.asked_after)}` : "");
  say(ending, "due", closing.state === "closed" ? filled(page.words.say.by, { at: page.day(closing.due) }) : "");
  if (closing.record) {
    fill(byId("record"), closing.record.text);
    fill(byId("handed-to"), closing.handed_to);
  }
}

/** What is kept already, for as long as nobody has typed anything else. */
function fill(field, kept) {
  if (!field.value && document.activeElement !== field) field.value = kept;
}

/** Send a form of it; what was typed stays when it is refused. */
export async function sendEnding(form, acts) {
  const button = form.querySelector("button");
  button.setAttribute("aria-busy", "true");
  const sent = await acts.send(form.dataset.wish, Object.fromEntries(new FormData(form)));
  button.removeAttribute("aria-busy");
  return sent;
}
