// The page of one emergency: kept as the case is, from its feed; every action one click or one key.

import { Rows, byId, filled, say } from "/static/drawing.js";
import { follow } from "/static/feed.js";
import { Acts } from "/static/rescue-acts.js";
import { drawCard, drawGuidance, drawNotes, drawPlan, drawTimeline, nextStep } from "/static/rescue-card.js";
import {
  allToCall, coming, drawCalls, drawComing, drawNews, drawRooms, impossible, news, roomOf, titled, toCallOff, toSend,
} from "/static/rescue-rooms.js";
import { drawEnding, sendEnding } from "/static/rescue-ending.js";
import { keepTicking, setServerTime, tickFrom } from "/static/ticking.js";
import { tellInTitle } from "/static/title.js";

const main = byId("main");
const words = JSON.parse(main.dataset.words);
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: main.dataset.zone, timeStyle: "medium" });
const day = new Intl.DateTimeFormat(document.documentElement.lang, {
  timeZone: main.dataset.zone, month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hour12: false,
});
const page = {
  id: main.dataset.case, seat: main.dataset.seat, csrf: main.dataset.csrf, words,
  mayCall: main.dataset.mayCall === "yes", clock: (ms) => clock.format(ms), day: (ms) => day.format(ms),
  role: "", plan: words.plan, guided: "", choosesKind: false, pressed: 0,
};
const acts = new Acts(page);
const rows = new Rows();
const PLAN_AGAIN_MS = 10000;
const SURE_MS = 5000;
let kase = null;
setServerTime(Number(main.dataset.now));

// ── drawing ────────────────────────────────────────────────────────────────────────────────────

function draw() {
  byId("opening").hidden = kase !== null;
  main.classList.toggle("ready", kase !== null);
  if (!kase) return;
  page.role = kase.roles.find((one) => one.at !== "" && one.at === page.seat)?.role ?? "";
  main.dataset.role = page.role;
  main.classList.toggle("led", kase.roles.some((one) => one.role === "A" && one.at !== ""));
  main.classList.toggle("closed", Boolean(kase.closed));
  drawBar();
  drawPrivate();
  drawAway();
  drawTroubles();
  for (const part of [drawCard, drawNotes, drawRooms, drawCalls, drawComing, drawPlan, drawGuidance, drawTimeline, drawEnding])
    part(kase, page);
  const told = drawNews(kase, page);
  tellInTitle("news", told.length ? sentenceOf(told[0]) : "");
  readPlan();
}

function sentenceOf(leg) {
  return filled(leg.arrived !== null ? words.say.news_arrived : words.say.news_way, { who: titled(leg, words) });
}

function drawBar() {
  tickFrom(byId("case-clock"), kase.closed ? null : kase.since);
  const kind = words.kind[kase.kind] ?? "";
  say(byId("opened"), "", [kind, filled(words.say.opened, { at: page.clock(kase.since) })].filter(Boolean).join(" · "));
  rows.show(byId("posts"), "post", kase.closed ? [] : kase.roles, (one) => one.role, (row, one) => {
    const isMe = one.at !== "" && one.at === page.seat;
    say(row, "role", `${one.role} ${words.role[one.role] ?? ""}`);
    say(row, "seat", one.seat ? one.seat + (isMe ? ` · ${words.say.you}` : "") : words.say.missing);
    row.className = isMe ? "mine" : one.seat ? "" : "vacant";
  });
  byId("over").hidden = !kase.closed;
  if (kase.closed) say(byId("over"), "at", page.clock(kase.closed));
}

/** While A and B speak unheard, both see all the time that the elder hears neither of them. */
function drawPrivate() {
  const other = kase.roles.find((one) => one.at !== "" && one.at !== page.seat);
  const button = byId("private");
  const isSo = kase.private !== null;
  button.hidden = !page.role || Boolean(kase.closed);
  button.setAttribute("aria-pressed", String(isSo));
  say(button, "what", isSo ? words.say.private : filled(words.say.speak, { role: page.role === "A" ? "B" : "A" }));
  impossible(button, other || isSo ? "" : "one_seat", page);
  byId("unheard").hidden = !isSo;
  tickFrom(byId("unheard").querySelector("[data-f=long]"), kase.private);
}

// The elder's line is gone, and how far the calling back is; or somebody knows how the elder is.
function drawAway() {
  const { away, safe } = kase;
  byId("gone").hidden = away === null || Boolean(kase.closed);
  if (away !== null) {
    tickFrom(byId("gone").querySelector("[data-f=long]"), away.since);
    const facts = { count: away.calls, number: away.number, result: words.result[away.result] ?? "" };
    const how = { asked: "called_there", ringing: "rings_there", answered: "answered_there" }[away.state]
      ?? (away.calls ? "in_vain" : "calls_soon");
    say(byId("gone"), "how", filled(words.say[how], facts));
  }
  const isHere = away === null && !kase.closed;
  byId("safe-now").hidden = !isHere || safe !== null;
  byId("safe").hidden = safe === null || !isHere;
  const off = toCallOff(kase);
  byId("call-off").hidden = !off.length;
  say(byId("call-off"), "what", filled(words.say.to_call_off, { who: off.map((one) => titled(one, words)).join(words.say.comma) }));
  const saying = safe?.reason ? words.say.stopped_by : words.say.safe_by;
  if (safe) say(byId("safe"), "what", filled(saying, { by: safe.by, at: page.clock(safe.at), why: safe.reason }));
}

// What is wrong with the case itself, and the alarms about it; a role that nobody has is on top.
function drawTroubles() {
  const shownAbove = ["uncertain", "away"];
  const wrong = kase.closed ? [] : kase.wrong.filter((one) => !one.startsWith("no ") && !shownAbove.includes(one));
  const shown = wrong.map((name) => ({
    key: name, what: words.wrong[name] ?? name, advice: "",
    since: { alone: kase.alone, silent: kase.silent }[name] ?? null,
  }));
  const known = ["elder alone", "elder away", "no sound", "role missing"];
  for (const alarm of kase.alarms.filter(({ kind }) => !known.includes(kind)))
    shown.push({ key: alarm.key, kind: alarm.kind, what: words.alarm[alarm.kind] ?? alarm.kind, advice: words.advice[alarm.kind] ?? "", since: null });
  rows.show(byId("troubles"), "trouble-row", shown, (one) => one.key, (row, one) => {
    say(row, "what", one.what);
    say(row, "advice", one.advice);
    const long = row.querySelector("[data-f=long]");
    tickFrom(long, one.since);
    if (one.since === null) long.textContent = "";
    row.querySelector("[data-do=again]").hidden = one.kind !== "perhaps called";
  });
}

// ── the plan of its kind ───────────────────────────────────────────────────────────────────────

let plan = { asked: "", isReading: false };

/** Read the plan that the case names; while it cannot be read, our own steps stand there. */
async function readPlan() {
  const wanted = kase.kind ? `${kase.kind}.json${kase.plan ? `?version=${kase.plan}` : ""}` : "";
  if (wanted === plan.asked || plan.isReading) return;
  plan.isReading = true;
  const [found, isFinal] = wanted ? await planAt(wanted) : [null, true];
  plan.isReading = false;
  const next = found ?? words.plan;
  // What a seat has open stays open when the plan cannot be read once more.
  if (next !== page.plan) page.guided = "";
  page.plan = next;
  if (isFinal) plan.asked = wanted;
  else setTimeout(readPlan, PLAN_AGAIN_MS);
  if (isFinal || found) draw();
}

/** The plan, null for none; and whether it is no use to ask again. */
async function planAt(address) {
  try {
    const answer = await fetch(`/plans/${address}`, { headers: { Accept: "application/json" } });
    if (answer.ok) return [await answer.json(), true];
    return [null, answer.status < 500];
  } catch {
    return [null, false];
  }
}

async function chooseKind(kind) {
  page.choosesKind = false;
  const [found] = await planAt(`${kind}.json`);
  acts.send("plan", { kind, version: found?.version ?? 0 });
}

// ── what a press does ──────────────────────────────────────────────────────────────────────────

const first = (legs) => legs[0]?.id ?? "";
const me = () => kase.people.find((one) => one.at !== "" && one.at === page.seat);

const does = {
  call(button) {
    const row = button.closest("li");
    const key = button.dataset.key || row?.dataset.key || row?.dataset.party;
    const party = kase.parties.find((one) => one.key === key);
    const leg = kase.legs.find((one) => one.party === key);
    acts.call([key], filled(words.say.calling, { who: titled(party ?? leg, words) }));
  },
  "call-all"() {
    const all = allToCall(kase, page);
    acts.call(all.map((one) => one.key), filled(words.say.calling, { who: all.map((one) => one.name).join(words.say.comma) }));
  },
  drop: (button) => acts.send("drop", { leg: button.closest("li").dataset.leg }),
  move: (button) => move(button.closest("li").dataset.channel, button.closest("li").dataset.room),
  "join-all"() {
    for (const one of kase.people.filter((person) => roomOf(person) === "side")) move(one.channel, "elder");
  },
  mute(button) {
    acts.send("mute", { channel: button.closest("li").dataset.channel, muted: button.dataset.muted });
  },
  mark: (button) => mark(button.closest("li").dataset.leg, button.dataset.mark),
  "elder-told": (button) => acts.send("mark", { leg: button.closest("li").dataset.leg, mark: "elder told" }),
  tick(button) {
    acts.send("tick", { step: button.dataset.step, done: button.getAttribute("aria-pressed") === "true" ? "no" : "yes" });
  },
  "tick-next": () => nextStep(kase, page) && acts.send("tick", { step: nextStep(kase, page).id }),
  kind: (button) => chooseKind(button.dataset.kind),
  "show-kinds"() {
    page.choosesKind = !page.choosesKind;
    draw();
  },
  guide(button) {
    page.guided = page.guided === button.dataset.guide ? "" : button.dataset.guide;
    if (page.guided) acts.send("tick", { step: page.guided });
    draw();
  },
  card: (button) => acts.send("card", { uid: button.closest("li").dataset.uid }),
  again: () => acts.send("again"),
  private: () => acts.send("private", { so: kase.private === null ? "yes" : "no" }),
  "send-card": () => acts.send("message", { party: toSend(kase).map((one) => one.key) }),
  safe() {
    // An elder of whom this is said is not called back: it is not to be a slip.
    const isSure = Date.now() - page.pressed < SURE_MS;
    if (isSure) acts.send("safe");
    else acts.refuse(words.say.press_again);
    page.pressed = isSure ? 0 : Date.now();
  },
  unsafe: () => acts.send("safe", { so: "no" }),
  undo: () => acts.undo(),
  "close-fault": () => acts.refuse(""),
};

const move = (channel, room) => acts.send("move", { channel, room });

const MARKED = { told: "told", "on the way": "way", arrived: "arrived", "elder told": "elder_told", "called off": "off" };

function mark(leg, name) {
  const isSo = kase.legs.find((one) => one.id === leg)?.[MARKED[name]] !== null;
  acts.send("mark", { leg, mark: name, so: isSo ? "no" : "yes" });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) press(button);
});

function press(button) {
  if (!kase) return;
  if (button.dataset.why) acts.refuse(words.why[button.dataset.why]);
  else does[button.dataset.do](button);
}

// ── keys: what is pressed most; none while something is typed ──────────────────────────────────

const service = (kind) => () => press(document.querySelector(`.service[data-party="${kind}"]`));
const markFirst = (name) => () => (coming(kase).length ? mark(first(coming(kase)), name) : acts.refuse(words.why.no_leg));

const keys = {
  Digit1: service("ambulance"), Digit2: service("fire"), Digit3: service("police"),
  Numpad1: service("ambulance"), Numpad2: service("fire"), Numpad3: service("police"),
  KeyC: () => press(byId("call-all")),
  KeyJ() {
    if (kase.people.some((one) => roomOf(one) === "side")) does["join-all"]();
    else acts.refuse(words.why.nobody_aside);
  },
  KeyK() {
    const row = me() && document.querySelector(`[data-channel="${CSS.escape(me().channel)}"] [data-f=move]`);
    if (row) press(row);
    else acts.refuse(words.why.not_here);
  },
  KeyT: markFirst("told"), KeyW: markFirst("on the way"), KeyR: markFirst("arrived"),
  KeyE() {
    const told = first(news(kase));
    if (told) acts.send("mark", { leg: told, mark: "elder told" });
    else acts.refuse(words.why.nothing_new);
  },
  KeyP: () => !byId("private").hidden && press(byId("private")),
  KeyF: () => !kase.closed && !kase.safe && does.safe(),
  KeyS: () => press(byId("send-card")),
  KeyD: () => does["tick-next"](),
  KeyZ: () => acts.undo(),
  KeyN: () => byId("note").focus(),
};

document.addEventListener("keydown", (event) => {
  // B writes most of the time, and tells the elder all the same.
  if (event.altKey && event.code === "KeyE" && kase && !event.repeat) {
    event.preventDefault();
    keys.KeyE();
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || event.repeat || event.isComposing) return;
  if (event.target.matches("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  // By its place: a Chinese keyboard in its own writing names no letters.
  const does = keys[event.code];
  if (!does || !kase) return;
  event.preventDefault();
  does();
});

// ── notes: kept until the desk has them ────────────────────────────────────────────────────────

const KEPT = `careline-note-${page.id}`;
const note = byId("note");
let noteId = "";
note.value = sessionStorage.getItem(KEPT) ?? "";
note.addEventListener("input", () => sessionStorage.setItem(KEPT, note.value));

byId("note-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = note.value.trim();
  if (!text) return;
  noteId ||= newId();
  const sent = await acts.send("note", { note_id: noteId, text });
  if (!sent) return;
  noteId = "";
  // What was typed since then is the next note.
  note.value = note.value.trim() === text ? "" : note.value.replace(text, "").trim();
  sessionStorage.setItem(KEPT, note.value);
});

byId("stop-calling")?.addEventListener("submit", (event) => {
  event.preventDefault();
  if (kase) acts.send("stop-calling", Object.fromEntries(new FormData(event.target)));
});

byId("ending").addEventListener("submit", (event) => {
  event.preventDefault();
  if (kase) sendEnding(event.target, acts);
});

function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// ── the feed ───────────────────────────────────────────────────────────────────────────────────

follow({
  snapshot({ items }) {
    kase = items[0]?.item ?? kase;
    draw();
  },
  put(kind, key, item) {
    kase = item;
    draw();
  },
  drop() {
    // Put away: what was last known stays to be read.
    if (kase) kase = { ...kase, closed: kase.closed ?? Date.now(), people: [], wrong: [] };
    draw();
  },
}, `/rescue/${encodeURIComponent(page.id)}/feed`);

keepTicking();
