// Keeps the status page fresh: replaces only what has changed, and keeps what is open or has the focus.
"use strict";

const PAUSE = 10_000; // milliseconds between two updates
let paused = false;
const shown = new Map(); // the last content of each part

async function update() {
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
    await update();
    document.body.classList.remove("lost");
  } catch {
    document.body.classList.add("lost"); // the page stays unchanged and shows its time
  }
  setTimeout(follow, PAUSE);
}

const button = document.createElement("button");
button.type = "button";
button.textContent = "Pause updates";
button.addEventListener("click", () => {
  paused = !paused;
  button.textContent = paused ? "Resume updates" : "Pause updates";
});
document.querySelector("header").append(button);
setTimeout(follow, PAUSE);
