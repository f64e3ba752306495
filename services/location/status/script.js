// Keeps the status page fresh: only what has changed is replaced, and what somebody opened or is reading is kept.
"use strict";

const PAUSE = 10_000; // milliseconds between two looks
let paused = false;
const shown = new Map(); // what was put into each part last

async function look() {
  if (paused || document.hidden) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(String(answer.status));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = fresh.title;
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (!other || other.innerHTML === shown.get(part.id) || part.contains(document.activeElement)) continue;
    shown.set(part.id, other.innerHTML);
    const open = [...part.querySelectorAll("details[open]")].map((each) => each.id);
    part.className = other.className;
    part.replaceChildren(...other.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  }
}

async function follow() {
  try {
    await look();
    document.body.classList.remove("lost");
  } catch {
    document.body.classList.add("lost"); // the page stays as it was; the time on it says of when
  }
  setTimeout(follow, PAUSE);
}

const button = document.createElement("button");
button.type = "button";
button.textContent = "Pause updates";
button.addEventListener("click", () => {
  paused = !paused;
  button.textContent = paused ? "Go on with updates" : "Pause updates";
});
document.querySelector("header").append(button);
setTimeout(follow, PAUSE);
