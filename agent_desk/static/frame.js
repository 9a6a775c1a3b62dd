// What every page needs: a form is sent once, the page can be used again after going back, and its
// help and its search are one key away.

const sent = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (sent.has(form)) {
    event.preventDefault();
    return;
  }
  sent.add(form);
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-busy", "true");
});

window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-once]")) {
    sent.delete(form);
    for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-busy");
  }
});

// What was typed on a wrap-up goes along to a page that is loaded again, and to no other.
window.addEventListener("DOMContentLoaded", () => sessionStorage.removeItem("careline-typed"));

// "?" opens the help of this page, "/" leads into its search; in a field they are what they are.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (event.target.matches("input, textarea, select, [contenteditable]")) return;
  if (event.key === "?" || event.key === "？") document.getElementById("help")?.click();
  if (event.key !== "/") return;
  const search = document.querySelector("input[type=search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});

// Alt R leads into the rescue of one's own seat; the telephone lives in its window and talks on.
document.addEventListener("keydown", (event) => {
  const { rescue } = document.body.dataset;
  if (!rescue || event.code !== "KeyR" || !event.altKey || event.ctrlKey || event.metaKey || event.repeat) return;
  event.preventDefault();
  const seat = document.getElementById("main")?.dataset.seat;
  location.assign(seat ? `${rescue}?seat=${encodeURIComponent(seat)}` : rescue);
});
