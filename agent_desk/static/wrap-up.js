// The wrap-up's form: what is typed is kept a second later, and the keys beside the words work.

const PAUSE_MS = 1000;
const AGAIN_MS = 3000;
const KEPT = ["call_class", "note", "elder_id", "content", "requirement"];

let timer = 0;
let sending = null;

function fieldsOf(form) {
  const all = new FormData(form);
  const kept = new URLSearchParams();
  for (const name of KEPT) if (all.has(name)) kept.set(name, all.get(name));
  return kept;
}

async function keep(form) {
  const said = form.querySelector("[data-f=draft]");
  const sent = fieldsOf(form).toString();
  sending = new AbortController();
  try {
    const answer = await fetch(form.dataset.draft, {
      method: "POST",
      signal: sending.signal,
      body: new URLSearchParams(sent),
      headers: { "X-CSRF-Token": form.elements.csrf.value, Accept: "application/json" },
    });
    if (!answer.ok) throw new Error(String(answer.status));
    const time = new Date().toLocaleTimeString([], { hour12: false });
    said.textContent = said.dataset.kept.replace("{time}", time);
  } catch (cause) {
    if (cause.name === "AbortError") return;
    said.textContent = said.dataset.lost;
    wait(form, AGAIN_MS);
  }
}

function wait(form, ms) {
  clearTimeout(timer);
  timer = setTimeout(() => keep(form), ms);
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-draft]");
  if (form) wait(form, PAUSE_MS);
});

// What was sent is no draft any more.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-draft]")) return;
  clearTimeout(timer);
  sending?.abort();
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
