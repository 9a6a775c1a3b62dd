// Durations that tick: every element with data-since (milliseconds since 1970) shows its age.

let ahead = 0;
let isFrozen = false;

/** Tell the server's time in milliseconds, so that a wrong clock in the browser does no harm. */
export function setServerTime(now) {
  ahead = now - Date.now();
}

export function serverNow() {
  return Date.now() + ahead;
}

/** 4:02, or 1:04:02 */
export function duration(ms) {
  const all = Math.max(0, Math.floor(ms / 1000));
  const seconds = String(all % 60).padStart(2, "0");
  const minutes = Math.floor(all / 60) % 60;
  const hours = Math.floor(all / 3600);
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

/** Let an element tick from `since`, or stop it with null. */
export function tickFrom(element, since) {
  if (since === null) {
    delete element.dataset.since;
    return;
  }
  element.dataset.since = since;
  element.textContent = duration(serverNow() - since);
}

/** Stop the durations where they are, or let them go on. */
export function setFrozen(frozen) {
  isFrozen = frozen;
}

// On a long board most durations are out of sight, and those cost as much to draw as the others.
const seen = new Set();
const watched = new WeakSet();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) seen.add(target);
    else seen.delete(target);
  }
  tickThose(seen);
}, { rootMargin: "200px" });

function tickThose(elements) {
  if (isFrozen) return;
  for (const element of elements) {
    if (!element.dataset.since) continue;
    const text = duration(serverNow() - Number(element.dataset.since));
    if (element.textContent !== text) element.textContent = text;
  }
}

export function tick() {
  for (const element of document.querySelectorAll("[data-since]")) {
    if (watched.has(element)) continue;
    watched.add(element);
    watcher.observe(element);
  }
  tickThose(seen);
}

export function keepTicking(also = () => {}) {
  const all = () => {
    tick();
    also();
  };
  all();
  setInterval(all, 1000);
}
