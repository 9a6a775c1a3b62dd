// What is read out of the elder, what is noted, the plan's next step, and what happened so far.

import { Rows, byId, filled, say } from "/static/drawing.js";

const rows = new Rows();
const AREA = ["district", "street", "compound"];
const DOOR = ["building", "unit", "floor", "room"];
const FACTS = ["risk_plan", "diseases", "medication"];

// ── the card ───────────────────────────────────────────────────────────────────────────────────

export function drawCard(kase, page) {
  const { words } = page;
  const card = byId("card");
  const it = kase.card;
  say(byId("who"), "", it?.name || words.say.unknown);
  say(card, "who", it ? whoIs(it, words) : words.say.unknown);
  // Chinese addresses run from the large to the small without a gap.
  const gap = document.documentElement.lang.startsWith("zh") ? "" : ", ";
  const joined = (parts, between) => parts.map((part) => partOf(it?.[part] ?? "", part, words)).filter(Boolean).join(between);
  say(card, "area", joined(AREA, gap) || (joined(DOOR, " ") ? "" : words.say.no_address));
  say(card, "door", joined(DOOR, gap || " "));
  const optional = (field, text) => {
    card.querySelector(`[data-f=${field}-row]`).hidden = !text;
    say(card, field, text);
  };
  optional("landmark", it?.landmark ?? "");
  optional("route", it?.entry_route ?? "");
  say(card, "checked", it?.checked ? filled(words.say.checked, { day: it.checked }) : words.say.unchecked);
  const gaps = (it?.missing ?? []).map((gap) => words.gap[gap] ?? gap);
  const missing = say(card, "missing", gaps.length ? filled(words.say.gaps, { gaps: gaps.join(words.say.comma) }) : "");
  missing.hidden = !gaps.length;
  const newest = kase.notes[kase.notes.length - 1];
  say(card, "condition", newest?.text ?? words.say.no_note);
  say(card, "call_back", it?.call_back || kase.caller || words.say.number);
  for (const fact of FACTS) {
    const slot = say(card, fact, it?.[fact] ?? "");
    slot.hidden = slot.previousElementSibling.hidden = !slot.textContent;
  }
  const link = byId("elder-link");
  // Whom nobody knows is looked for on the call's page; neither takes this page away.
  link.hidden = false;
  say(link, "", it?.uid ? words.say.correct : words.say.search);
  link.href = it?.uid ? `/elders/${encodeURIComponent(it.uid)}/edit` : `/calls/${encodeURIComponent(kase.id)}`;
  drawTicked(card.querySelector("[data-step=identity]"), kase, "identity");
  const identity = kase.ticks.find((one) => one.step === "identity");
  say(card, "identity", identity ? `${page.clock(identity.at)} ${identity.by}` : "");
  drawChoices(kase, page);
}

function drawChoices(kase, page) {
  const { words } = page;
  const several = kase.cards.length > 1;
  byId("pick").hidden = !several || kase.chosen !== "";
  rows.show(byId("choices"), "choice-row", several ? kase.cards : [], (one) => one.uid, (row, one) => {
    row.dataset.uid = one.uid;
    say(row, "who", whoIs({ ...one, living: "" }, words));
  });
}

function whoIs(card, words) {
  const age = card.age === null ? "" : filled(words.say.years, { age: card.age });
  const lives = card.living ? words.lives[card.living] : "";
  return [card.name, words.sex[card.sex], age, lives].filter(Boolean).join(words.say.comma);
}

function partOf(text, part, words) {
  return /^\d+$/.test(text) && words.part[part] ? words.part[part].replace("%s", text) : text;
}

// ── notes ──────────────────────────────────────────────────────────────────────────────────────

export function drawNotes(kase, page) {
  const newestFirst = [...kase.notes].reverse();
  rows.show(byId("notes"), "note-row", newestFirst, (note) => note.id, (row, note) => {
    say(row, "at", page.clock(note.at));
    say(row, "by", note.by);
    say(row, "text", note.text);
  });
}

// ── the plan ───────────────────────────────────────────────────────────────────────────────────

/** The plan's steps of my role; of all when I have none. */
function stepsOf(page) {
  const { steps } = page.plan;
  return page.role ? steps.filter((step) => step.role === page.role) : steps;
}

const isDone = (kase, step) => kase.ticks.some((tick) => tick.step === step);

function drawTicked(button, kase, step) {
  const done = isDone(kase, step);
  button.setAttribute("aria-pressed", String(done));
  button.classList.toggle("done", done);
}

/** The first step that nobody has done; undefined when all are. */
export function nextStep(kase, page) {
  return stepsOf(page).find((step) => !isDone(kase, step.id));
}

export function drawPlan(kase, page) {
  const { words } = page;
  const steps = stepsOf(page);
  const next = nextStep(kase, page);
  const asks = !kase.kind || page.choosesKind;
  byId("kinds").hidden = !asks;
  for (const button of byId("kinds").children)
    button.setAttribute("aria-pressed", String(button.dataset.kind === kase.kind));
  const kind = byId("show-kinds");
  kind.hidden = !kase.kind;
  kind.setAttribute("aria-expanded", String(asks));
  say(kind, "", words.kind[kase.kind] ?? kase.kind);
  say(byId("step"), "", next?.text ?? words.say.all_done);
  byId("tick-next").hidden = !next;
  const done = steps.filter((step) => isDone(kase, step.id)).length;
  say(byId("next"), "count", filled(words.say.done_of, { done, all: steps.length }));
  rows.show(byId("steps"), "step-row", steps, (step) => `${page.plan.version} ${step.id}`, (row, step) => {
    const button = row.querySelector("button");
    button.dataset.step = step.id;
    say(row, "text", step.text);
    drawTicked(button, kase, step.id);
    row.classList.toggle("now", step === next);
  });
}

// ── what B says (EMG-23) ───────────────────────────────────────────────────────────────────────

export function drawGuidance(kase, page) {
  const { guidance } = page.plan;
  byId("guidance").hidden = !guidance.length;
  rows.show(byId("conditions"), "condition-row", guidance, (one) => one.id, (row, one) => {
    row.dataset.guide = one.id;
    say(row, "", one.condition);
    row.setAttribute("aria-pressed", String(one.id === page.guided));
    row.classList.toggle("used", isDone(kase, one.id));
  });
  const shown = guidance.find((one) => one.id === page.guided);
  byId("lines").hidden = !shown;
  rows.show(byId("lines"), "line-row", (shown?.lines ?? []).map((line, place) => ({ line, place })),
    ({ place }) => `${shown.id} ${place}`, (row, { line }) => say(row, "", line));
}

// ── what happened ──────────────────────────────────────────────────────────────────────────────

export function drawTimeline(kase, page) {
  const { words } = page;
  const key = (one) => [one.at, one.what, one.who, one.step, one.text].join("\n");
  rows.show(byId("timeline"), "time-row", kase.timeline, key, (row, one) => {
    row.className = one.tone ?? "";
    say(row, "at", page.clock(one.at));
    const result = words.result[one.result] ?? "";
    const guided = one.what === "tick" && page.plan.guidance.find(({ id }) => id === one.step);
    const sentence = guided ? words.timeline.guided : words.timeline[one.what] ?? one.what;
    say(row, "what", filled(sentence, { ...one, result, step: guided ? guided.condition : stepNamed(one.step, page) }));
  });
}

function stepNamed(id, page) {
  const { steps } = page.plan;
  const known = [...steps, ...page.words.plan.steps].find((step) => step.id === id);
  return known?.text ?? id ?? "";
}
