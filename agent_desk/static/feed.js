// The feed of the board, kept alive: numbers are checked, and a gap, a break or silence reads the
// snapshot. While nobody tells what happens, every page that follows it says so and stops its
// durations.

import { serverNow, setFrozen, setServerTime } from "/static/ticking.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
// The desk says something every 5 s (TICK_EVERY_S in agent_desk/feed.py); two of these may be late.
const QUIET_MS = 12000;
const ANSWER_WITHIN_MS = 5000;
const SIGNED_OUT = 4401;

let link = "connecting";
let heardAt = null;
let lastHeard = null;

/**
 * Follow the feed at this address for ever. `on` has: snapshot(data), put(kind, key, item), drop(kind, key), and
 * may have linked(state): "live", "away" without the controller, "lost" without the desk.
 */
export function follow(on, address = "/feed") {
  let wait = FIRST_WAIT_MS;
  let current = null;

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${address}`);
    let seq = null;
    let silence = setTimeout(lose, QUIET_MS);
    current = socket;

    // A dead connection never answers the goodbye, so nobody waits for that; and what still comes of
    // it later on would mix into the next one.
    function lose() {
      if (socket !== current) return;
      current = null;
      clearTimeout(silence);
      socket.close();
      say("lost", on);
      askWhetherSignedIn();
      setTimeout(connect, wait);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }

    socket.addEventListener("message", (event) => {
      if (socket !== current) return;
      const message = JSON.parse(event.data);
      if (message.kind !== "snapshot" && message.seq !== seq + 1) {
        lose();
        return;
      }
      clearTimeout(silence);
      silence = setTimeout(lose, QUIET_MS);
      seq = message.seq;
      wait = FIRST_WAIT_MS;
      take(message, on);
    });

    socket.addEventListener("close", (event) => {
      if (event.code === SIGNED_OUT) signIn();
      else lose();
    });
  }

  connect();
}

function take({ kind, data }, on) {
  if (kind === "snapshot") setServerTime(data.now);
  heardAt = serverNow();
  switch (kind) {
    case "snapshot":
      on.snapshot(data);
      say(data.away ? "away" : "live", on);
      break;
    case "put":
      on.put(data.kind, data.key, data.item);
      break;
    case "drop":
      on.drop(data.kind, data.key);
      break;
    case "away":
      say("away", on);
      break;
    case "back":
      say("live", on);
      break;
  }
}

/** Show how the link stands; what nobody hears of any more must not look as if it went on. */
function say(state, on) {
  const isLive = state === "live";
  if (isLive) lastHeard = null;
  else if (link === "live") lastHeard = heardAt;
  link = state;
  document.body.classList.toggle("stale", !isLive);
  setFrozen(!isLive);
  const banner = document.getElementById("away");
  banner.hidden = isLive;
  if (!isLive) {
    banner.querySelector("[data-f=what]").textContent = banner.dataset[state];
    banner.querySelector("[data-f=since]").textContent =
      lastHeard === null ? "–" : new Date(lastHeard).toLocaleTimeString([], { hour12: false, timeZone: banner.dataset.zone });
  }
  on.linked?.(state);
}

// The page with what it was asked for: the seat of a table telephone, the filters of a list.
function signIn() {
  location.assign("/sign-in?next=" + encodeURIComponent(location.pathname + location.search));
}

// A refused WebSocket does not say why; an ended sign-in must not look like a lost connection.
async function askWhetherSignedIn() {
  try {
    const answer = await fetch("/feed", {
      headers: { Accept: "application/json" },
      // Over a dead network these would pile up, and a browser has few connections to one desk.
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (answer.status === 401) {
      signIn();
    }
  } catch {
    // The desk itself is away; the next connection tells.
  }
}
