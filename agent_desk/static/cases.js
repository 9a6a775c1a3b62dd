// The list of emergencies, or one of them: read again when the feed says that one changed (UI-01).

import { reader } from "/static/again.js";
import { follow } from "/static/feed.js";
import { keepTicking } from "/static/ticking.js";

const { case: id } = document.getElementById("main").dataset;
const readAgain = reader(id ? `/cases/${id}` : location.href);

follow({
  snapshot: readAgain,
  put(kind, key) {
    if (["emergency", "call"].includes(kind) && (!id || key === id)) readAgain();
  },
  drop(kind, key) {
    if (kind === "emergency" && (!id || key === id)) readAgain();
  },
});

keepTicking();
