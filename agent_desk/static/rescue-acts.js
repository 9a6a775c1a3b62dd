// What a seat does in an emergency, sent to the desk: each press is answered where it happened, and
// a call that was a slip can be taken back for three seconds.

import { byId, say } from "/static/drawing.js";

const UNDO_S = 3;
const ANSWER_WITHIN_MS = 12000;

/** Sends wishes for one case. `page` has: id, csrf, words. */
export class Acts {
  #undo = null;

  constructor(page) {
    this.page = page;
  }

  /**
   * Ask for something; `fields` are names with one value or a list. Returns the answer, or null when
   * it was refused, which is then said on the page.
   */
  async send(wish, fields = {}) {
    // Why the press before this one was refused does not matter any more.
    this.refuse("");
    const form = new URLSearchParams({ csrf: this.page.csrf });
    for (const [name, value] of Object.entries(fields))
      for (const one of [value].flat()) form.append(name, one);
    try {
      const answer = await fetch(`/rescue/${encodeURIComponent(this.page.id)}/${wish}`, {
        method: "POST", body: form, headers: { Accept: "application/json" },
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      });
      const said = await answer.json();
      if (!answer.ok) throw new Refusal(said.error);
      return said;
    } catch (cause) {
      this.refuse(cause instanceof Refusal ? cause.message : this.page.words.say.not_done);
      return null;
    }
  }

  /** Say why something was not done; nothing with "". */
  refuse(sentence) {
    const fault = byId("fault");
    say(fault, "what", sentence);
    fault.hidden = !sentence;
  }

  /** Call these; for a moment it can be undone. */
  async call(parties, said) {
    const answer = await this.send("call", { party: parties });
    if (answer?.legs.length) this.#offerUndo(answer.legs, said);
  }

  #offerUndo(legs, said) {
    this.#forget();
    const strip = byId("undo");
    let left = UNDO_S;
    say(strip, "what", said);
    say(strip, "left", String(left));
    strip.hidden = false;
    const timer = setInterval(() => {
      left -= 1;
      say(strip, "left", String(left));
      if (left <= 0) this.#forget();
    }, 1000);
    this.#undo = { legs, timer };
  }

  #forget() {
    clearInterval(this.#undo?.timer);
    this.#undo = null;
    byId("undo").hidden = true;
  }

  undo() {
    if (!this.#undo) {
      this.refuse(this.page.words.why.nothing_to_undo);
      return;
    }
    const { legs } = this.#undo;
    this.#forget();
    for (const leg of legs) this.send("drop", { leg });
  }
}

class Refusal extends Error {}
