// The wrap-up's form: what is typed is kept a second later, and the keys beside the words work.

const SOON_MS = 1000;
const AGAIN_MS = 3000;
const KEPT = ["call_class", "note", "elder_id", "content", "requirement"];

// Forms with something to keep, and their timers, by the address that keeps it: the next call brings
// a form of its own, and what was typed in the former is still to be kept.
const waiting = new Map();
const sending = new Map();
const ended = new Set();

function fieldsOf(form) {
  const all = new FormData(form);
  const kept = new URLSearchParams();
  for (const name of KEPT) if (all.has(name)) kept.set(name, all.get(name));
  return kept;
}

async function keep(address, isLast = false) {
  const { form } = forget(address);
  const said = form.querySelector("[data-f=draft]");
  const sent = new AbortController();
  sending.set(address, sent);
  try {
    const answer = await fetch(address, {
      method: "POST",
      signal: sent.signal,
      keepalive: isLast,
      body: fieldsOf(form),
      headers: { "X-CSRF-Token": form.elements.csrf.value, Accept: "application/json" },
    });
    if (answer.status === 401 || answer.status === 403) {
      // Who is not signed in any more cannot keep anything, however often it is tried.
      ended.add(address);
      said.setAttribute("role", "alert");
      said.textContent = said.dataset.ended;
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const time = new Date().toLocaleTimeString([], { hour12: false });
    said.textContent = said.dataset.kept.replace("{time}", time);
  } catch (cause) {
    if (cause.name === "AbortError") return;
    said.textContent = said.dataset.lost;
    if (!waiting.has(address)) wait(form, AGAIN_MS);
  }
}

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

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-draft]");
  if (form) wait(form, SOON_MS);
});

// What was sent is no draft any more.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-draft]")) return;
  forget(event.target.dataset.draft);
  sending.get(event.target.dataset.draft)?.abort();
});

window.addEventListener("pagehide", () => {
  for (const address of [...waiting.keys()]) keep(address, true);
});

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
