// Reads a page again and takes over its parts marked data-live that differ. What is being typed, and
// a recording that is being heard, are left alone.

import { tick } from "/static/ticking.js";

const AGAIN_MS = 700;

/** Returns what reads the page at this address again, once at a time, until it was read. */
export function reader(address) {
  let isReading = false;
  let isWanted = false;

  return async function readAgain() {
    isWanted = true;
    if (isReading) return;
    isReading = true;
    try {
      while (isWanted) {
        isWanted = false;
        const answer = await fetch(address, { headers: { Accept: "text/html" } });
        // While the database is away the page stays as it is, and is asked for again.
        if (answer.status >= 500) throw new Error(String(answer.status));
        if (answer.ok && !answer.redirected) takeOver(parsed(await answer.text()));
      }
    } catch {
      setTimeout(readAgain, AGAIN_MS);
    } finally {
      isReading = false;
    }
  };
}

export function parsed(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

/** Take over the parts of the freshly read page that differ. */
export function takeOver(fresh) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const part = fresh.getElementById(old.id);
    if (!part || isInUse(old) || hasMore(old, part) || sameAs(old, part)) continue;
    old.replaceWith(document.importNode(part, true));
  }
  tick();
}

function isInUse(part) {
  const player = part.querySelector("audio");
  const isTyped = [...part.querySelectorAll("textarea, input:not([type=hidden])")].some(
    (field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked,
  );
  return isTyped || part.contains(document.activeElement) || (player !== null && !player.paused);
}

/** Whether a form holds words that the fresh one does not: a refused form comes back filled in. */
function hasMore(old, part) {
  return [...old.querySelectorAll("textarea, input:not([type=hidden])")].some((field) => {
    const fresh = field.name && part.querySelector(`[name="${CSS.escape(field.name)}"]`);
    return fresh && field.type !== "radio" && field.value !== "" && field.value !== fresh.value;
  });
}

/** Whether both say the same; what only ticks is no difference. */
function sameAs(old, part) {
  const [left, right] = [old.cloneNode(true), part.cloneNode(true)];
  for (const side of [left, right]) {
    for (const ticking of side.querySelectorAll("[data-since]")) ticking.textContent = "";
  }
  return left.isEqualNode(right);
}
