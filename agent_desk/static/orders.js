// The list of orders, or one order: read again when the feed says that an order changed (UI-01).

import { reader } from "/static/again.js";
import { follow } from "/static/feed.js";
import { keepTicking } from "/static/ticking.js";

const { order } = document.getElementById("main").dataset;
const readAgain = reader(order ? `/orders/${order}` : location.href);
let wasCut = false;

follow({
  snapshot() {},
  put(kind, key) {
    if (kind === "order" && (!order || key === order)) readAgain();
  },
  drop() {},
  // After a break nobody knows what was missed.
  linked(state) {
    if (state === "live" && wasCut) readAgain();
    wasCut = state !== "live";
  },
});

keepTicking();
