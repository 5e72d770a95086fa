// Keeps a page current: takes the parts that the server sends and puts in what changed, element by element.
"use strict";

const state = document.querySelector(".state");
const search = document.querySelector("#q");
let events;

function times(root) {
  const today = new Date().toDateString();
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const options = at.toDateString() === today && !time.dataset.day
      ? { hour: "2-digit", minute: "2-digit" }
      : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
    time.textContent = at.toLocaleString(undefined, options);
    time.title = at.toLocaleString();
  }
}

function put(html, fresh) {
  const parts = new DOMParser().parseFromString(html, "text/html");
  times(parts);
  document.querySelector("#totals").replaceWith(parts.querySelector("#totals"));
  const list = document.querySelector("#list");
  const wanted = [...parts.querySelector("#list").children];
  const ids = new Set(wanted.map((item) => item.id));
  for (const item of [...list.children]) {
    if (!ids.has(item.id)) item.remove();
  }
  wanted.forEach((item, at) => {
    let present = document.getElementById(item.id);
    if (present && present.dataset.key !== item.dataset.key) {
      present.replaceChildren(...item.childNodes);
      present.dataset.key = item.dataset.key;
    } else if (!present) {
      present = item;
      if (fresh) present.classList.add("fresh");
    }
    if (list.children[at] !== present) list.insertBefore(present, list.children[at] ?? null);
  });
}

function follow(address) {
  if (events) events.close();
  events = new EventSource(address);
  let fresh = false;
  events.onopen = () => { state.textContent = "live"; state.dataset.state = "live"; };
  events.onerror = () => { state.textContent = "reconnecting"; state.dataset.state = "lost"; fresh = false; };
  events.onmessage = (event) => { put(event.data, fresh); fresh = true; };
}

if (search) {
  let pause;
  search.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => {
      const query = "?q=" + encodeURIComponent(search.value);
      history.replaceState(null, "", search.value ? "/" + query : "/");
      follow("/events" + query);
    }, 150);
  });
}
addEventListener("pagehide", () => events.close());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

times(document);
follow(document.body.dataset.events);
