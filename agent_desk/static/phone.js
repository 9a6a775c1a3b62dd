// The seat's telephone, for every page of the desk.
//
// The telephone itself lies in a window of its own, /phone (phone-page.js): a page that is left takes
// its sound with it, and a talk must outlive every page change. All other pages see and steer it
// through this module:
//
//   import { phone } from "/static/phone.js";
//   phone.state                        what it does now, see below
//   phone.addEventListener("change", () => …)    after every change of phone.state
//   phone.answer()  phone.hangUp()  phone.mute()  phone.hold()    mute and hold: on, then off again
//   phone.dial("13800000000")          opens the telephone's window when there is none; returns "", or
//                                      why nobody is dialled
//   phone.press("5")                   a key of the keypad, during a talk
//
// phone.state is { is, seat, who, number, call, since, muted, trouble }:
//   is        "closed" (no window) "opening" "away" "no_microphone" "ready" "ringing" "dialling"
//             "talking" "held"
//   seat      the extension, "" when the window is closed
//   who, number, call    of the other side; call is the id of a call that rings or is answered here,
//             as in /calls/ID, "" for one that this seat dialled
//   since     when this state of a call began, in milliseconds since 1970
//   trouble   a sentence for the seat, or ""
//
// An element with data-dial="NUMBER" is click to dial. Alt+A answers, Alt+X hangs up, Alt+M mutes and
// Alt+H holds, on every page.

export const CHANNEL = "careline-phone";
export const CLOSED = {
  is: "closed", seat: "", who: "", number: "", call: "", since: 0, muted: false, trouble: "",
};
const WINDOW = "careline-phone";
const SHAPE = "popup,width=400,height=720";
const IN_A_CALL = ["ringing", "dialling", "talking", "held"];
const KEYS = { KeyA: "answer", KeyX: "hangUp", KeyM: "mute", KeyH: "hold" };

class Phone extends EventTarget {
  #channel = new BroadcastChannel(CHANNEL);
  #here = null;
  state = CLOSED;

  constructor() {
    super();
    this.#channel.addEventListener("message", ({ data }) => {
      if (data.state) this.#show(data.state);
      if (data.state?.seat) this.#awaitItsEnd();
      if (data.wish && this.#here) this.#here(data.wish, data.number);
      if (data.ask && this.#here) this.#channel.postMessage({ state: this.state });
    });
    this.#channel.postMessage({ ask: true });
  }

  // The window holds this lock for as long as it lives: who gets it knows that it is gone, whatever
  // became of it.
  #isAwaiting = false;
  async #awaitItsEnd() {
    if (this.#here || this.#isAwaiting || !navigator.locks) return;
    this.#isAwaiting = true;
    await navigator.locks.request(CHANNEL, { mode: "shared" }, () => this.#show(CLOSED));
    this.#isAwaiting = false;
    this.#channel.postMessage({ ask: true });
  }

  #show(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }

  /** For the telephone's own window alone: `take(wish, number)` does what any page asks for. */
  isHere(take) {
    this.#here = take;
  }

  /** For the telephone's own window alone: tell every page. */
  tell(state) {
    this.#show(state);
    this.#channel.postMessage({ state });
  }

  #wish(wish, number = "") {
    if (this.#here) this.#here(wish, number);
    else this.#channel.postMessage({ wish, number });
  }

  answer() { this.#wish("answer"); }
  hangUp() { this.#wish("hangUp"); }
  mute() { this.#wish("mute"); }
  hold() { this.#wish("hold"); }
  press(key) { this.#wish("press", key); }
  dial(number) {
    const { is } = this.state;
    if (is === "closed") return this.open(number) ? "" : "no_window";
    if (is !== "ready") return IN_A_CALL.includes(is) ? "in_call" : "not_ready";
    this.#wish("dial", number);
    return "";
  }

  /**
   * Open the telephone's window, or bring it to the front; only a click of a person may do so. Returns
   * whether the browser did.
   */
  open(number = "") {
    const query = number ? `?dial=${encodeURIComponent(number)}` : "";
    // With an empty address the browser finds the window without loading it again.
    const found = window.open(this.state.is === "closed" ? `/phone${query}` : "", WINDOW, SHAPE);
    found?.focus();
    return Boolean(found);
  }
}

export const phone = new Phone();

/** How long ago, as 1:07 or 1:02:07. */
export function ago(since) {
  const seconds = Math.max(0, Math.floor((Date.now() - since) / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${h ? `${h}:${String(m).padStart(2, "0")}` : m}:${String(s).padStart(2, "0")}`;
}

document.addEventListener("keydown", (event) => {
  const wish = KEYS[event.code];
  if (!wish || !event.altKey || event.ctrlKey || event.metaKey || event.repeat) return;
  event.preventDefault();
  phone[wish]();
});

/** A mobile number as people read it out: 138 0000 0000. Others are left as they are. */
export function legible(number) {
  return number.replace(/^(1\d\d)(\d{4})(\d{4})$/, "$1 $2 $3");
}

// ── the bar on every page (templates/phone/bar.html) ─────────────────────────────────────────────

export const TONES = { ready: "talk", ringing: "act", dialling: "act", talking: "talk", held: "wait" };

function drawBar(bar) {
  const words = JSON.parse(bar.dataset.words);
  const part = (name) => bar.querySelector(`[data-f=${name}]`);
  const show = () => {
    const { state } = phone;
    const isCall = IN_A_CALL.includes(state.is);
    part("state").textContent = words[state.is] ?? words.away;
    part("state").className = `pill ${TONES[state.is] ?? "wait"}`;
    part("state").hidden = state.is === "closed";
    const who = [state.who || words.unknown, legible(state.number)].join(" ");
    part("who").textContent = isCall ? who : "";
    part("since").textContent = isCall && state.since ? ago(state.since) : "";
    part("answer").hidden = state.is !== "ringing";
    part("hang-up").hidden = !isCall;
    part("trouble").textContent = state.trouble;
    part("open").textContent = state.is === "closed" ? bar.dataset.open : bar.dataset.front;
    bar.classList.toggle("rings", state.is === "ringing");
  };
  part("answer").addEventListener("click", () => phone.answer());
  part("hang-up").addEventListener("click", () => phone.hangUp());
  part("open").addEventListener("click", () => phone.open());
  phone.addEventListener("change", show);
  // Only a talk grows longer; otherwise the page has nothing to draw.
  setInterval(() => IN_A_CALL.includes(phone.state.is) && show(), 1000);
  show();
}

const bar = document.querySelector("#phone-bar");
if (bar) drawBar(bar);

// ── click to dial: what became of it is said in the page in which the number was pressed ─────────

function drawDialled(strip, words) {
  const part = (name) => strip.querySelector(`[data-f=${name}]`);
  let refused = "";
  let isAsked = false;

  function show(sentence) {
    part("what").hidden = part("again").hidden = !refused;
    part("why").textContent = sentence;
    strip.hidden = !sentence;
  }

  function tell() {
    const { is, trouble } = phone.state;
    const why = { in_call: words.say_in_call, no_window: words.say_no_window };
    if (refused) show(why[refused] ?? (trouble || words.say_connecting));
    else show(isAsked && is === "ready" ? trouble : "");
  }

  document.addEventListener("click", (event) => {
    const asked = event.target.closest("[data-dial]");
    if (!asked) return;
    refused = phone.dial(asked.dataset.dial);
    isAsked = !refused;
    tell();
  });
  phone.addEventListener("change", () => {
    if (phone.state.is === "ready") refused = "";
    tell();
    if (phone.state.is === "ready") isAsked = false;
  });
}

if (bar) drawDialled(document.querySelector("#not-dialled"), JSON.parse(bar.dataset.words));
