// The telephone's own window: buttons, keypad, microphone and speaker around one line.

import { Line } from "./phone-line.js";
import { ago, CHANNEL, CLOSED, legible, phone, TONES } from "./phone.js";

const AGAIN_MS = [300, 700, 1500, 3000];
// What the desk says by the code with which it closes (agent_desk/phones.py).
const SIGNED_OUT = 4401;
const ELSEWHERE = 4409;
const LEFT = 4410;
const KEEP_EVERY_MS = 500;
const RING_HZ = 450;
const ANSWER_WITHIN_MS = 5000;
// The last line of this tab, so that it does not stand in its own way after a reload.
const LINE = "careline-line";

const main = document.querySelector("#phone");
const words = JSON.parse(main.dataset.words);
const part = (name) => main.querySelector(`[data-f=${name}]`);

let state = { ...CLOSED, is: "opening", seat: main.dataset.seat };
let microphone = null;
let line = null;
let tries = 0;
let isEnding = false;

function change(news) {
  state = { ...state, ...news };
  draw();
  phone.tell(state);
}

const isCall = () => ["ringing", "dialling", "talking", "held"].includes(state.is);

function draw() {
  const { is } = state;
  part("state").textContent = words[is] ?? words.away;
  part("state").className = `pill ${TONES[is] ?? "wait"}`;
  part("call").hidden = !isCall();
  part("who").textContent = state.who || (state.number ? "" : words.unknown);
  part("number").textContent = legible(state.number);
  part("trouble").textContent = state.trouble;
  part("trouble").hidden = !state.trouble;
  part("answer").hidden = is !== "ringing";
  part("hang-up").hidden = !isCall();
  for (const name of ["mute", "hold"]) part(name).hidden = !["talking", "held"].includes(is);
  part("mute-word").textContent = state.muted ? words.unmute : words.mute;
  part("mute").setAttribute("aria-pressed", state.muted);
  part("hold-word").textContent = is === "held" ? words.unhold : words.hold;
  part("hold").setAttribute("aria-pressed", is === "held");
  part("dial").hidden = isCall();
  part("keypad").hidden = is === "ringing";
  part("dial-button").disabled = is !== "ready";
  main.classList.toggle("rings", is === "ringing");
  ring(is === "ringing");
  tick();
}

function tick() {
  part("since").textContent = isCall() && state.since ? ago(state.since) : "";
}

// ── the microphone comes first: without one nobody should ring here ──────────────────────────────

function chosen(kind) {
  return localStorage.getItem(`careline-${kind}`) ?? "";
}

async function hearMicrophone() {
  if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
  const wanted = chosen("microphone");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  const exact = wanted ? { ...audio, deviceId: { exact: wanted } } : audio;
  const stream = await navigator.mediaDevices
    .getUserMedia({ audio: exact })
    // The one that was chosen is not plugged in: any other is better than none.
    .catch((cause) => {
      if (!wanted || cause.name === "NotAllowedError") throw cause;
      return navigator.mediaDevices.getUserMedia({ audio });
    });
  for (const track of microphone?.getTracks() ?? []) track.stop();
  microphone = stream;
  stream.getAudioTracks()[0].addEventListener("ended", () => inTurn(() => loseMicrophone(stream)));
  showLevel(stream);
  await listDevices();
  return stream;
}

function sayNoMicrophone(cause) {
  const why = { NotAllowedError: "say_not_allowed", SecurityError: "say_not_secure" };
  change({ is: "no_microphone", trouble: words[why[cause.name] ?? "say_no_microphone"] });
}

// One after the other: a headset that is plugged in or pulled out is several devices, each of them is
// told, and the end of its sound besides.
let turn = Promise.resolve();

function inTurn(work) {
  turn = turn.then(work).catch(console.error);
}

async function loseMicrophone(stream) {
  if (stream !== microphone) return;
  microphone = null;
  try {
    await changeMicrophone();
  } catch (cause) {
    await listDevices();
    if (isCall() && state.is !== "ringing") change({ trouble: words.say_microphone_lost });
    else {
      await line?.close();
      line = null;
      sayNoMicrophone(cause);
    }
  }
}

async function changeMicrophone() {
  const stream = await hearMicrophone();
  await line?.speakInto(stream);
  if (state.trouble === words.say_microphone_lost) change({ trouble: "" });
}

/** Take the microphone that was chosen, or what there is. */
async function renewMicrophone() {
  if (!microphone && !isCall()) await start();
  else await changeMicrophone().catch(listDevices);
}

// The headset that was chosen is there again: until now another microphone was heard.
async function lookAtDevices() {
  const devices = await listDevices();
  const wanted = chosen("microphone");
  const isBack = devices.some(({ kind, deviceId }) => kind === "audioinput" && deviceId === wanted);
  if (!microphone || (isBack && wanted !== heardDevice())) await renewMicrophone();
  useSpeaker();
}

const heardDevice = () => microphone?.getAudioTracks()[0].getSettings().deviceId ?? "";

/** Show what can be chosen, and what is really used. */
async function listDevices() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const used = { audioinput: heardDevice(), audiooutput: chosen("speaker") };
  for (const [kind, name] of [["audioinput", "microphone"], ["audiooutput", "speaker"]]) {
    const here = devices.filter((device) => device.kind === kind && device.deviceId);
    const select = part(name);
    const options = here.map(({ label, deviceId }) => new Option(label, deviceId));
    select.replaceChildren(...options);
    select.value = here.some((device) => device.deviceId === used[kind])
      ? used[kind]
      : here[0]?.deviceId ?? "";
    select.closest(".field").hidden = here.length === 0;
  }
  part("heard").textContent = microphone?.getAudioTracks()[0].label ?? "";
  return devices;
}

const sound = new AudioContext();
let listening = null;

function showLevel(stream) {
  listening?.disconnect();
  const analyser = new AnalyserNode(sound, { fftSize: 512 });
  listening = new MediaStreamAudioSourceNode(sound, { mediaStream: stream });
  listening.connect(analyser);
  const wave = new Float32Array(analyser.fftSize);
  const look = () => {
    if (stream !== microphone) return;
    analyser.getFloatTimeDomainData(wave);
    const power = wave.reduce((sum, value) => sum + value * value, 0) / wave.length;
    // From -60 dB, where a room is quiet, to 0 dB.
    part("level").value = Math.max(0, 1 + Math.log10(power + 1e-9) / 6);
    requestAnimationFrame(look);
  };
  look();
}

let ringing = null;

function ring(isOn) {
  if (isOn === Boolean(ringing)) return;
  ringing?.stop();
  ringing = null;
  if (!isOn) return;
  sound.resume();
  const loudness = new GainNode(sound, { gain: 0 });
  ringing = new OscillatorNode(sound, { frequency: RING_HZ });
  // One second of tone, four of silence: what a Chinese telephone does, for five minutes.
  for (let n = 0; n < 60; n += 1) {
    loudness.gain.setValueAtTime(0.2, sound.currentTime + n * 5);
    loudness.gain.setValueAtTime(0, sound.currentTime + n * 5 + 1);
  }
  ringing.connect(loudness).connect(sound.destination);
  ringing.start();
}

// ── the line ─────────────────────────────────────────────────────────────────────────────────────

const on = {
  async ready() {
    tries = 0;
    if (state.is !== "opening" && state.is !== "away") return;
    if (await line.takeUp()) return;
    change({ is: "ready", trouble: "" });
    dialWhatWasAsked();
  },
  rings(talk, muted) {
    change({ ...talk, is: "ringing", muted, trouble: "" });
  },
  talks(talk, stream) {
    hear(stream);
    line.mute(state.muted);
    change({ ...talk, is: line.isHeld ? "held" : "talking", trouble: "" });
  },
  sounds(stream) {
    if (stream) hear(stream);
  },
  ended(why) {
    part("far").srcObject = null;
    const is = microphone ? "ready" : "no_microphone";
    const trouble = microphone ? words[`say_${why}`] ?? "" : words.say_no_microphone;
    change({ is, trouble, who: "", number: "", call: "", since: 0, muted: false });
    if (!microphone) line?.close();
  },
  lost(code) {
    if (isEnding) return;
    if (code === SIGNED_OUT) location.assign("/sign-in?next=/phone");
    else if (code === ELSEWHERE) sayElsewhere();
    else if (code === LEFT) location.assign("/phone");
    else again();
  },
};

function hear(stream) {
  part("far").srcObject = stream;
  useSpeaker();
}

function useSpeaker() {
  // One that is not plugged in cannot be used; the browser then takes another.
  part("far").setSinkId?.(chosen("speaker")).catch(() => undefined);
}

function again() {
  if (!isCall() || state.is === "ringing" || state.is === "dialling") {
    part("far").srcObject = null;
    change({ is: "away", trouble: words.say_away, who: "", number: "", call: "", since: 0 });
  } else {
    change({ is: "away", trouble: words.say_away });
  }
  setTimeout(() => connect(), AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)]);
  tries += 1;
}

function sayElsewhere(sentence = words.say_elsewhere) {
  change({ is: "away", trouble: sentence });
  part("use-here").hidden = false;
}

/** Ask the desk for a line, and open it. */
async function connect({ takeOver = false } = {}) {
  part("use-here").hidden = true;
  let isOpening = false;
  try {
    const answer = await fetch("/phone/line", {
      method: "POST",
      headers: { "X-CSRF-Token": main.dataset.csrf, Accept: "application/json" },
      body: new URLSearchParams({
        take_over: takeOver ? "yes" : "", was: sessionStorage.getItem(LINE) ?? "",
      }),
      // What was sent into a dead network comes back late or never.
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (answer.status === 401) return location.assign("/sign-in?next=/phone");
    const said = await answer.json();
    if (said.why === "elsewhere") return sayElsewhere();
    if (said.why === "left") return location.assign("/phone");
    if (!answer.ok) return again();
    // The microphone may have gone in the meantime; once it is back, all this begins anew.
    if (state.is === "no_microphone") return;
    sessionStorage.setItem(LINE, said.line);
    line ??= new Line(microphone, on);
    if (microphone) line.microphone = microphone;
    isOpening = true;
    await line.open(said);
  } catch {
    // The desk is away. Once it opens, the line itself says when it is lost.
    if (!isOpening) again();
  }
}

async function start() {
  change({ is: "opening" });
  try {
    await hearMicrophone();
  } catch (cause) {
    sayNoMicrophone(cause);
    return;
  }
  await connect();
}

function dialWhatWasAsked() {
  const asked = new URLSearchParams(location.search).get("dial");
  if (!asked) return;
  // Once: a reload is no second wish.
  history.replaceState(null, "", "/phone");
  part("number-to-dial").value = asked;
  // Only a page of the desk that opened this window dials by itself. A link from elsewhere fills the
  // number in, and a person looks at it first.
  if (window.opener) dial(asked);
}

async function dial(number) {
  if (state.is !== "ready" || !line) return;
  change({ is: "dialling", who: "", number, call: "", since: Date.now(), trouble: "" });
  if (!(await line.dial(number))) change({ is: "ready", trouble: words.say_not_found, number: "" });
}

// ── what a person does ───────────────────────────────────────────────────────────────────────────

const wishes = {
  answer: () => state.is === "ringing" && line.answer(),
  hangUp: () => line?.hangUp(),
  dial,
  press(key) {
    if (isCall()) line.press(key);
    else part("number-to-dial").value += key;
  },
  mute() {
    if (!["talking", "held"].includes(state.is)) return;
    line.mute(!state.muted);
    change({ muted: !state.muted });
  },
  async hold() {
    const isHeld = state.is === "held";
    if (!isHeld && state.is !== "talking") return;
    if (await line.hold(!isHeld)) change({ is: isHeld ? "talking" : "held" });
  },
};

phone.isHere((wish, number) => wishes[wish]?.(number));
const buttons = { answer: "answer", "hang-up": "hangUp", mute: "mute", hold: "hold" };
for (const [name, wish] of Object.entries(buttons)) {
  // Whoever double-clicks on "Pick up" does not mean the button that takes its place.
  part(name).addEventListener("click", (event) => event.detail < 2 && wishes[wish]());
}
part("use-here").addEventListener("click", () => connect({ takeOver: true }));
part("keypad").addEventListener("click", (event) => {
  const key = event.target.closest("button")?.value;
  if (key) wishes.press(key);
});
part("dial").addEventListener("submit", (event) => {
  event.preventDefault();
  dial(part("number-to-dial").value);
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea");
  if (!isTyping && !event.altKey && !event.ctrlKey && /^[0-9*#]$/.test(event.key)) {
    wishes.press(event.key);
  }
});
part("microphone").addEventListener("change", (event) => {
  localStorage.setItem("careline-microphone", event.target.value);
  inTurn(renewMicrophone);
});
part("speaker").addEventListener("change", (event) => {
  localStorage.setItem("careline-speaker", event.target.value);
  useSpeaker();
});
navigator.mediaDevices?.addEventListener("devicechange", () => inTurn(lookAtDevices));
window.addEventListener("pagehide", () => {
  isEnding = true;
  line?.keep();
});
setInterval(() => line?.keep(), KEEP_EVERY_MS);
setInterval(tick, 1000);

if (navigator.locks) {
  // Held until this window is gone, so that other pages notice.
  navigator.locks.request(CHANNEL, () => new Promise(() => undefined));
}
inTurn(start);
