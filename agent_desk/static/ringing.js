// A call that rings is said in the page's title: a tab in the background shows nothing else.

import { phone } from "/static/phone.js";

const plain = document.title;

/** Say who rings, or nobody any more with "". */
export function announce(who) {
  document.title = who ? `☎ ${document.body.dataset.rings} ${who} · ${plain}` : plain;
}

phone.addEventListener("change", () => {
  const { is, who, number } = phone.state;
  announce(is === "ringing" ? who || number || "?" : "");
});
