// The feed of the board, kept alive: numbers are checked, and a gap or a break reads the snapshot.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const SIGNED_OUT = 4401;
// The server pings every 15 s but a browser does not see pings; a dead link is noticed by closing.

/**
 * Follow the feed for ever. `on` has: snapshot(data), put(kind, key, item), drop(kind, key),
 * away(), back(), lost().
 */
export function follow(on) {
  let wait = FIRST_WAIT_MS;

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/feed`);
    let seq = null;

    socket.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.kind !== "snapshot" && message.seq !== seq + 1) {
        socket.close();
        return;
      }
      seq = message.seq;
      wait = FIRST_WAIT_MS;
      take(message, on);
    });

    socket.addEventListener("close", (event) => {
      if (event.code === SIGNED_OUT) {
        location.assign("/sign-in?next=" + encodeURIComponent(location.pathname));
        return;
      }
      on.lost();
      askWhetherSignedIn();
      setTimeout(connect, wait);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    });
  }

  connect();
}

function take({ kind, data }, on) {
  switch (kind) {
    case "snapshot":
      on.snapshot(data);
      break;
    case "put":
      on.put(data.kind, data.key, data.item);
      break;
    case "drop":
      on.drop(data.kind, data.key);
      break;
    case "away":
      on.away();
      break;
    case "back":
      on.back();
      break;
  }
}

// A refused WebSocket does not say why; an ended sign-in must not look like a lost connection.
async function askWhetherSignedIn() {
  try {
    const answer = await fetch("/feed", { headers: { Accept: "application/json" } });
    if (answer.status === 401) {
      location.assign("/sign-in?next=" + encodeURIComponent(location.pathname));
    }
  } catch {
    // The desk itself is away; the next connection tells.
  }
}
