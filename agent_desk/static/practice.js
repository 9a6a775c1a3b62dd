// Who of the practice town is on the telephone, asked for again and again.

const EVERY_MS = 2000;
const now = document.getElementById("now");

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/practice/now", { headers: { Accept: "text/html" } });
    const text = answer.ok ? await answer.text() : "";
    // An unchanged list is left alone, so that a reader of the screen is not told it again.
    if (text && text.trim() !== now.innerHTML.trim()) now.innerHTML = text;
  } catch {
    // The desk is away for a moment; the next look finds it.
  }
}

if (now) setInterval(look, EVERY_MS);
