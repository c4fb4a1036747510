/**
 * The admin page of Warren: who looks, and which view is shown. What is behind the `#` of the address names a
 * view, a room or a user; the key never stands there.
 */
import { dismiss } from "./actions.js";
import { announce, el, field, put, say } from "./dom.js";
import { overview } from "./overview.js";
import { room } from "./room.js";
import { rooms } from "./rooms.js";
import { send } from "./send.js";
import { Session } from "./session.js";
import { user } from "./user.js";
import { users } from "./users.js";

const VIEWS = { "": overview, rooms, room, users, user, send };
const NAVIGATION = { "": "overview", room: "rooms", user: "users" };
const main = document.getElementById("main");
const navigation = document.querySelector(".top nav");
const keyed = document.querySelector(".top .key");

let session = null;
let leave = () => {};

/** Show what the address names; a view returns what is to be done when it is left. */
function show() {
  leave();
  leave = () => {};
  dismiss();
  navigation.hidden = keyed.hidden = session === null;
  if (session === null) {
    askKey();
    return;
  }
  const [, name = "", ...given] = location.hash.replace(/^#?/, "").split("/");
  const view = VIEWS[name] ?? overview;
  const current = NAVIGATION[name] ?? name;
  for (const link of navigation.querySelectorAll("a")) {
    if (link.dataset.view === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const heading = el("h1", { tabindex: "-1" });
  const body = el("div", { class: "view" });
  put(main, heading, body);
  const context = {
    session,
    heading,
    body,
    lost: (error) => signOut(error.message),
    entitle(text) {
      say(heading, text);
      document.title = `${text} – Warren admin`;
    },
  };
  leave = view(context, decoded(given.join("/"))) ?? leave;
  scrollTo(0, 0);
  heading.focus({ preventScroll: true });
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Ask for a key; `why` says why it is asked for again. */
function askKey(why = "") {
  document.title = "Warren admin";
  const input = el("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true, maxlength: "512" });
  const keep = el("input", { type: "checkbox", checked: true, id: "keep" });
  const trouble = el("p", { class: "trouble", role: "alert", hidden: !why }, why);
  const button = el("button", { type: "submit", class: "main" }, "Open");
  const form = el(
    "form",
    {
      class: "card door",
      async onsubmit(event) {
        event.preventDefault();
        button.disabled = true;
        trouble.hidden = true;
        try {
          enter(await Session.open(input.value.trim(), keep.checked));
        } catch (error) {
          button.disabled = false;
          trouble.hidden = false;
          say(trouble, error.message);
          input.focus();
        }
      },
    },
    el("h1", {}, "Look at this installation"),
    el("p", {}, "A key of the HTTP API is needed. What it may not do is not offered here."),
    field("Key", input, "make run prints one; otherwise ask whoever keeps the routers' keys file."),
    el("p", { class: "check" }, keep, el("label", { for: "keep" }, "Keep it until this tab is closed")),
    trouble,
    el("p", { class: "buttons" }, button),
  );
  put(main, form);
  input.focus();
}

function enter(found) {
  session = found;
  say(document.querySelector(".key-name"), `Key ${found.name}`);
  show();
  announce(`Opened with the key ${found.name}.`);
}

function signOut(why = "") {
  Session.forget();
  session = null;
  show();
  if (why) askKey(why);
}

async function begin() {
  const kept = Session.kept();
  if (!kept) {
    show();
    return;
  }
  put(main, el("p", { class: "loading" }, "Opening …"));
  try {
    enter(await Session.open(kept, true));
  } catch (error) {
    if (error.status === 401) Session.forget();
    session = null;
    show();
    askKey(error.message);
  }
}

addEventListener("hashchange", show);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById("forget").addEventListener("click", () => signOut());
begin();
