// A call's page while it happens: its parts are read again when the feed says that it changed.

import { reader } from "/static/again.js";
import { follow } from "/static/feed.js";
import { keepTicking, setServerTime } from "/static/ticking.js";

const main = document.getElementById("main");
const id = main.dataset.call;
setServerTime(Number(main.dataset.now));
const readAgain = reader(`/calls/${id}${location.search}`);
let known = null;

function look(item) {
  const now = JSON.stringify(item);
  if (now === known) return;
  known = now;
  readAgain();
}

follow({
  snapshot({ items }) {
    const mine = items.find((one) => one.kind === "call" && one.key === id);
    if (mine) look(mine.item);
  },
  put(kind, key, item) {
    if (kind === "call" && key === id) look(item);
    if (kind === "order" && main.querySelector(`a[href="/orders/${CSS.escape(key)}"]`)) readAgain();
  },
  drop() {},
});

keepTicking();
