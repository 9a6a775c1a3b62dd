// A menu tried without a telephone: its prompts are played one after the other, and a key, or five
// seconds without one, shows the row of what would happen, as the server worked it out.

const WAIT_MS = 5000;
const NEXT_KEY_MS = 500;

for (const run of document.querySelectorAll("[data-menu-run]")) {
  const prompts = [...run.querySelectorAll("[data-prompt]")];
  const rows = [...run.querySelectorAll("tr[data-keys]")];
  const player = new Audio();
  let waiting = 0;
  let pressed = "";

  function hush() {
    player.pause();
    player.onended = null;
    clearTimeout(waiting);
    for (const prompt of prompts) prompt.removeAttribute("aria-current");
  }

  function play(at) {
    hush();
    if (at === prompts.length) {
      waiting = setTimeout(() => show(""), WAIT_MS);
      return;
    }
    prompts[at].setAttribute("aria-current", "true");
    player.src = prompts[at].dataset.prompt;
    player.onended = () => play(at + 1);
    // A key that cuts the prompt short is no fault, nor is a browser without sound.
    player.play().catch(() => {});
  }

  function show(keys) {
    hush();
    pressed = "";
    const isOneKey = new Set(keys).size === 1;
    const same = (row) => row.dataset.keys === (isOneKey ? keys[0] : keys);
    // As many as make a call for help (workflows/menu.py), or two by mistake.
    const other = isOneKey ? "*" : keys.length > 2 ? "173" : "17";
    const hit = rows.find(same) ?? rows.find((row) => row.dataset.keys === other);
    for (const row of rows) row.toggleAttribute("aria-current", row === hit);
    hit.scrollIntoView({ block: "nearest" });
  }

  run.querySelector("[data-menu-play]").hidden = false;
  run.querySelector("[data-play]").addEventListener("click", () => {
    for (const row of rows) row.removeAttribute("aria-current");
    play(0);
  });
  for (const button of run.querySelectorAll("[data-key]")) {
    button.addEventListener("click", () => {
      hush();
      pressed += button.dataset.key;
      waiting = setTimeout(() => show(pressed), NEXT_KEY_MS);
    });
  }
}
