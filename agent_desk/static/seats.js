// The list of seats, kept as it stands now.

import { follow } from "/static/feed.js";

const main = document.getElementById("main");
const words = JSON.parse(main.dataset.words);
const reasons = JSON.parse(main.dataset.reasons);
const TONES = { available: "act", ringing: "wait", talking: "talk", paused: "wait" };

function show(extension, seat) {
  const row = main.querySelector(`[data-seat="${CSS.escape(extension)}"]`);
  if (!row) return;
  const state = row.querySelector('[data-f="state"]');
  state.textContent = words[seat.state] ?? seat.state;
  state.className = `pill ${TONES[seat.state] ?? ""}`;
  row.querySelector('[data-f="reason"]').textContent = reasons[seat.reason] ?? seat.reason;
  const isAway = seat.state === "offline";
  row.querySelector('[data-f="phone"]').textContent = isAway ? main.dataset.gone : main.dataset.registered;
}

follow({
  snapshot({ items }) {
    for (const { kind, key, item } of items) if (kind === "seat") show(key, item);
  },
  put(kind, key, item) {
    if (kind === "seat") show(key, item);
  },
  drop() {},
});
