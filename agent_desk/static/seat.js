// My seat's page follows the board's feed: the call that rings or is talked here, then its wrap-up.
// Of a call that goes on only the parts marked data-live are taken over; what is typed stays.

import { parsed, takeOver } from "/static/again.js";
import { follow } from "/static/feed.js";
import { announce } from "/static/ringing.js";
import { keepTicking, setServerTime, tick } from "/static/ticking.js";
import { carryOver } from "/static/wrap-up.js";

const AGAIN_MS = 700;
const main = () => document.getElementById("main");
const seat = main().dataset.seat;
const calls = new Map();
let known = null;
let isReading = false;
let isWanted = false;
setServerTime(Number(main().dataset.now));

/** What the feed says of this seat and of the call on the page. */
function mine() {
  const shown = main().dataset.call;
  return [...calls].filter(([id, item]) => id === shown || (item.state !== "ended" && item.at.includes(seat)));
}

/** Whoever has come to an elder in an emergency works on its page from then on. */
let wasThere = null;
function toRescue() {
  const there = [...calls].filter(([, item]) => item.roles.some((one) => one.at === seat)).map(([id]) => id);
  const came = wasThere && there.find((id) => !wasThere.includes(id));
  wasThere = there;
  if (!came || !document.body.dataset.rescue || isTyping()) return;
  location.assign(`/rescue/${encodeURIComponent(came)}?seat=${encodeURIComponent(seat)}`);
}

// What is typed is not taken from under anybody's fingers: the button leads there too.
function isTyping() {
  const { activeElement: field } = document;
  return field.matches("input, textarea") && field.value !== field.defaultValue;
}

function look() {
  toRescue();
  const now = JSON.stringify(mine());
  if (now === known) return;
  known = now;
  const rings = mine().find(
    ([, item]) => item.rings.includes(seat) || (item.state === "ringing" && item.at.includes(seat)),
  );
  announce(rings ? rings[1].who || rings[1].number || "?" : "");
  readAgain();
}

async function readAgain() {
  isWanted = true;
  if (isReading) return;
  isReading = true;
  try {
    while (isWanted) {
      isWanted = false;
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      // While the database is away the page stays as it is, and is asked for again.
      if (answer.status >= 500) throw new Error(String(answer.status));
      if (answer.ok && !answer.redirected) show(parsed(await answer.text()));
    }
  } catch {
    isWanted = true;
  } finally {
    isReading = false;
  }
  // The ringing is heard before the call is written down.
  const here = mine().filter(([, item]) => item.state !== "ended");
  const isMissing = here.length && !here.some(([id]) => id === main().dataset.call);
  if (isWanted || isMissing) setTimeout(readAgain, AGAIN_MS);
}

function show(fresh) {
  const next = fresh.getElementById("main");
  if (!next) return;
  if (next.dataset.call === main().dataset.call) {
    takeOver(fresh);
  } else if (wasSearching()) {
    isWanted = true;
  } else {
    main().replaceWith(document.importNode(next, true));
    known = JSON.stringify(mine());
    carryOver();
    tick();
  }
}

/** Whether who called before was searched for; for the next caller that is over. */
function wasSearching() {
  const here = new URL(location.href);
  if (!here.searchParams.has("find")) return false;
  here.searchParams.delete("find");
  history.replaceState(null, "", here);
  return true;
}

follow({
  snapshot({ items }) {
    calls.clear();
    for (const one of items) if (one.kind === "call") calls.set(one.key, one.item);
    look();
  },
  put(kind, key, item) {
    if (kind === "call") calls.set(key, item);
    if (kind === "emergency" && key === main().dataset.call) readAgain();
    if (kind === "order" && main().querySelector(`a[href="/orders/${CSS.escape(key)}"]`)) readAgain();
    look();
  },
  drop(kind, key) {
    if (kind === "call") calls.delete(key);
    look();
  },
});

keepTicking();
