/**
 * What changes while a page is open: the level of the stock, and the way of an order. Without it, all of the shop works,
 * and shows what was true when the page was loaded.
 */

/** Levels come over a WebSocket: one for each page that shows any. */
function followStock(pauseMs = 1000) {
  const { protocol, host } = location;
  const socket = new WebSocket(`${protocol === "https:" ? "wss:" : "ws:"}//${host}/stock`);
  socket.addEventListener("open", () => (pauseMs = 1000));
  socket.addEventListener("message", ({ data }) => showLevel(JSON.parse(data)));
  // Not all at once, and ever more rarely: the shop may be starting anew.
  socket.addEventListener("close", () => {
    setTimeout(followStock, pauseMs * (1 + Math.random()), Math.min(pauseMs * 2, 30_000));
  });
}

function showLevel({ id, count, look, text }) {
  for (const label of document.querySelectorAll(`[data-stock="${CSS.escape(id)}"]`)) {
    label.classList.remove("fine", "low", "out");
    label.classList.add(look);
    label.textContent = text;
    label.hidden = "ifLow" in label.dataset && look === "fine";
  }
  for (const fields of document.querySelectorAll(`[data-needs="${CSS.escape(id)}"]`)) fields.disabled = count === 0;
}

/** The browser comes again by itself when the connection breaks, and says what it has seen last. */
function followOrder(journey) {
  const source = new EventSource(journey.dataset.events);
  source.addEventListener("order", ({ data }) => {
    const event = JSON.parse(data);
    showEvent(journey, event);
    if (event.state === "delivered") source.close();
  });
  // Something was missed and is not to be had any more: the page itself knows it.
  source.addEventListener("gap", () => location.reload());
}

function showEvent(journey, { state, at, headline, text, note }) {
  for (const step of journey.children) {
    const isThis = step.dataset.state === state;
    if (isThis) {
      const time = step.querySelector("time");
      step.classList.add("done");
      step.setAttribute("aria-current", "step");
      if (note === undefined) showTime(time, at);
    } else step.removeAttribute("aria-current");
  }
  document.querySelector("#headline").textContent = headline;
  const words = document.querySelector("#text");
  words.textContent = text;
  words.classList.toggle("trouble", note !== undefined);
}

/** Where the customer is. Without a script it is UTC. */
function showTime(time, at) {
  time.dateTime = at;
  time.textContent = new Date(at).toLocaleTimeString("en-GB");
}

for (const time of document.querySelectorAll(".journey time[datetime]")) showTime(time, time.dateTime);
const journey = document.querySelector("[data-events]");
if (journey) followOrder(journey);
if (document.querySelector("[data-stock]")) followStock();
