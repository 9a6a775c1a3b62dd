// A call that rings is said in the page's title.

import { phone } from "/static/phone.js";
import { tellInTitle } from "/static/title.js";

/** Say who rings, or nobody any more with "". */
export function announce(who) {
  tellInTitle("rings", who ? `☎ ${document.body.dataset.rings} ${who}` : "");
}

phone.addEventListener("change", () => {
  const { is, who, number } = phone.state;
  announce(is === "ringing" ? who || number || "?" : "");
});
