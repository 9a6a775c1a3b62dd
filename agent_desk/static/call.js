// A call's page while it happens: its parts are read again when the feed says that it changed.
// What is being typed, and a recording that is being heard, are left alone.

import { follow } from "/static/feed.js";
import { keepTicking, setServerTime, tick } from "/static/ticking.js";

const main = document.getElementById("main");
const id = main.dataset.call;
setServerTime(Number(main.dataset.now));
let known = null;
let isReading = false;
let isWanted = false;

/** Read the page again and take over the parts marked data-live that differ. */
async function readAgain() {
  isWanted = true;
  if (isReading) return;
  isReading = true;
  try {
    while (isWanted) {
      isWanted = false;
      const answer = await fetch(`/calls/${id}`, { headers: { Accept: "text/html" } });
      if (answer.ok && !answer.redirected) takeOver(await answer.text());
    }
  } catch {
    // The desk is away for a moment; the feed's next snapshot asks again.
  } finally {
    isReading = false;
  }
}

function takeOver(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const part = fresh.getElementById(old.id);
    if (!part || isInUse(old) || sameAs(old, part)) continue;
    old.replaceWith(document.importNode(part, true));
  }
  tick();
}

function isInUse(part) {
  const player = part.querySelector("audio");
  return part.contains(document.activeElement) || (player !== null && !player.paused);
}

/** Whether both say the same; what only ticks is no difference. */
function sameAs(old, part) {
  const [left, right] = [old.cloneNode(true), part.cloneNode(true)];
  for (const side of [left, right]) {
    for (const ticking of side.querySelectorAll("[data-since]")) ticking.textContent = "";
  }
  return left.isEqualNode(right);
}

function look(item) {
  const now = JSON.stringify(item);
  if (now === known) return;
  known = now;
  readAgain();
}

follow({
  snapshot({ now, items }) {
    setServerTime(now);
    const mine = items.find((one) => one.kind === "call" && one.key === id);
    if (mine) look(mine.item);
  },
  put(kind, key, item) {
    if (kind === "call" && key === id) look(item);
  },
  drop() {},
  away() {},
  back() {},
  lost() {},
});

keepTicking();
