// The wrap-up's form, and those of a case: what is typed is kept a second later and before the page is
// left, and the keys beside the words work.

const SOON_MS = 1000;
const AGAIN_MS = 3000;
const LONGEST_MS = 2000;
const KEPT = [
  "call_class", "note", "elder_id", "content", "requirement",
  "record", "handed_to", "outcome", "changes", "follow_up",
];
const LEFT = "careline-typed";

// Forms with something to keep, and their timers, by the address that keeps it: the next call brings
// a form of its own, and what was typed in the former is still to be kept.
const waiting = new Map();
const sending = new Map();
const ended = new Set();
const forms = () => [...document.querySelectorAll("form[data-draft]")];

function fieldsOf(form) {
  const all = new FormData(form);
  const kept = new URLSearchParams();
  for (const name of KEPT) if (all.has(name)) kept.set(name, all.get(name));
  return kept;
}

// ── keeping ────────────────────────────────────────────────────────────────────────────────────

/** Keep it by then; who goes on typing does not put it off. */
function wait(form, ms) {
  const address = form.dataset.draft;
  if (ended.has(address)) return;
  const timer = waiting.get(address)?.timer ?? setTimeout(() => keep(address), ms);
  waiting.set(address, { form, timer });
}

function forget(address) {
  const one = waiting.get(address);
  clearTimeout(one?.timer);
  waiting.delete(address);
  return one;
}

/** Keep what waits at this address, in place of what is on its way there; tells whether it is kept. */
function keep(address) {
  const { form } = forget(address);
  sending.get(address)?.sent.abort();
  const one = { form, sent: new AbortController() };
  one.isKept = send(form, one.sent.signal).finally(() => {
    if (sending.get(address) === one) sending.delete(address);
  });
  sending.set(address, one);
  return one.isKept;
}

async function send(form, signal) {
  const address = form.dataset.draft;
  try {
    const answer = await fetch(address, {
      method: "POST",
      signal,
      // It gets there also when the page is left meanwhile.
      keepalive: true,
      body: fieldsOf(form),
      headers: { "X-CSRF-Token": form.elements.csrf.value, Accept: "application/json" },
    });
    if (answer.status === 401 || answer.status === 403) {
      // Who is not signed in any more cannot keep anything, however often it is tried.
      ended.add(address);
      say(form, "ended").setAttribute("role", "alert");
      return false;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    say(form, "kept");
    isHeld = false;
    return true;
  } catch (cause) {
    if (cause.name === "AbortError") return true;
    say(form, "lost");
    if (!waiting.has(address)) wait(form, AGAIN_MS);
    return false;
  }
}

/** Say beside the buttons whether what is typed is kept: "kept", "lost", "held" or "ended". */
function say(form, what) {
  const said = form.querySelector("[data-f=draft]");
  const time = new Date().toLocaleTimeString([], { hour12: false });
  said.textContent = said.dataset[what].replace("{time}", time);
  said.className = what === "kept" ? "quiet" : "fault";
  return said;
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-draft]");
  if (!form) return;
  sessionStorage.removeItem(LEFT);
  wait(form, SOON_MS);
});

// ── leaving the page ───────────────────────────────────────────────────────────────────────────

let isHeld = false;
let passing = null;

const isUnkept = () => waiting.size + sending.size > 0;

async function keepAll() {
  for (const address of [...waiting.keys()]) keep(address);
  const all = Promise.all([...sending.values()].map((one) => one.isKept));
  const late = new Promise((tell) => setTimeout(tell, LONGEST_MS, [false]));
  return !(await Promise.race([all, late])).includes(false);
}

/** Leave the page once all is kept. What cannot be kept holds it back, and says so, the first time. */
async function leave(go) {
  const isKept = await keepAll();
  const [form] = forms();
  if (isKept || isHeld || !form) {
    go();
    return;
  }
  isHeld = true;
  say(form, ended.has(form.dataset.draft) ? "ended" : "held").scrollIntoView({ block: "center" });
}

// Before everybody else, so that a form that is held back counts as not sent.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-draft]")) {
    // What was sent is no draft any more.
    forget(form.dataset.draft);
    sending.get(form.dataset.draft)?.sent.abort();
    sending.delete(form.dataset.draft);
    sessionStorage.removeItem(LEFT);
  } else if (form !== passing && isUnkept()) {
    event.preventDefault();
    event.stopPropagation();
    leave(() => {
      passing = form;
      form.requestSubmit(event.submitter);
      passing = null;
    });
  }
}, true);

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const isElsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link?.target;
  if (!link || isElsewhere || event.defaultPrevented || !isUnkept()) return;
  // A place on this page.
  if (link.hash && link.href.split("#")[0] === location.href.split("#")[0]) return;
  event.preventDefault();
  leave(() => location.assign(link.href));
});

// What the browser itself does nobody can hold back: what was typed goes along to a page that is
// loaded again, which is asked for before it is kept.
function leaveAtOnce() {
  const [form] = forms().filter(({ dataset: { draft } }) => waiting.has(draft) || sending.has(draft));
  if (form) sessionStorage.setItem(LEFT, JSON.stringify([form.dataset.draft, String(fieldsOf(form))]));
  for (const address of [...waiting.keys()]) keep(address);
}

window.addEventListener("beforeunload", leaveAtOnce);
window.addEventListener("pagehide", leaveAtOnce);

// ── going on with it ───────────────────────────────────────────────────────────────────────────

/** Fill in what was typed at this address, if its form is here and shows something else. */
function fillIn(address, typed) {
  const form = forms().find((one) => one.dataset.draft === address);
  if (!form || String(fieldsOf(form)) === typed) return;
  for (const [name, value] of new URLSearchParams(typed)) {
    if (form.elements[name]) form.elements[name].value = value;
  }
  wait(form, SOON_MS);
}

/** Fill a form that has just come with what was typed in the former one and is not kept yet. */
export function carryOver() {
  for (const [address, { form }] of [...sending, ...waiting]) fillIn(address, String(fieldsOf(form)));
}

function isTyped(form) {
  return [...form.elements].some(
    ({ name, value, defaultValue, checked, defaultChecked }) =>
      KEPT.includes(name) && (value !== defaultValue || checked !== defaultChecked),
  );
}

const left = sessionStorage.getItem(LEFT);
sessionStorage.removeItem(LEFT);
if (left) fillIn(...JSON.parse(left));
// A form that was refused shows what nobody has kept, and so does one in which somebody typed before
// this was here.
for (const form of forms()) if ("unkept" in form.dataset || isTyped(form)) wait(form, SOON_MS);

// ── keys ───────────────────────────────────────────────────────────────────────────────────────

document.addEventListener("keydown", (event) => {
  const form = document.querySelector("form[data-draft]");
  if (!form || !event.altKey || event.ctrlKey || event.metaKey) return;
  const about = form.querySelectorAll("[name=call_class]")[Number(event.code.replace("Digit", "")) - 1];
  if (about) {
    about.checked = true;
    about.dispatchEvent(new Event("input", { bubbles: true }));
  } else if (event.code === "KeyS") {
    form.requestSubmit(form.querySelector("button.go"));
  } else {
    return;
  }
  event.preventDefault();
});
