// What every page needs: a form is sent once, and the page can be used again after going back.

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
