/** Who is kept out, of what, and until when; and lifting it. */
import { confirmed, unblockInRoom, unblockUser } from "./actions.js";
import { duration, time } from "./format.js";
import { Pager, roomLink, section, Table, Trouble, userLink } from "./parts.js";
import { Poll } from "./poll.js";
import { act } from "./room.js";

const EVERY_MS = 10_000;
const PAGE = 25;

/** Who is kept out of everything. */
export const EVERYTHING = { prefix: "@" };

/** Of which user a block is, and of which room (empty: of everything). */
const userOf = ({ address, user }) => user ?? address.slice("user.".length);
const roomOf = ({ address, user }) => (user ? address.slice("room.".length) : "");

/** The question for all blocks of a user that the key may see; null: it may see none. */
export function blocksOf(session, user) {
  if (session.prefix("blocks") === "") return { user };
  return session.may("blocks", "@") ? { ...EVERYTHING, user } : null;
}

/** A section with the blocks that a question (`room`, `prefix`, `user`) finds; `done` is told what was lifted. */
export function blocks(context, question, { title, empty, done }) {
  const { session } = context;
  const pager = new Pager(() => poll.now());
  const trouble = new Trouble(() => poll.now());
  const lift = (block) => {
    const [user, room] = [userOf(block), roomOf(block)];
    if (!session.may("unblock", room || `@${user}`)) return "";
    const label = room ? `Unblock ${user} in ${room}` : `Unblock ${user}`;
    return act(label, "Unblock", () => confirmed(session, room ? unblockInRoom(room, user) : unblockUser(user), done));
  };
  const table = new Table(
    title,
    [
      ...(question.user ? [] : [{ name: "User", cell: (block) => userLink(userOf(block)) }]),
      ...(question.room || question === EVERYTHING ? [] : [{ name: "Kept out of", cell: (block) => (roomOf(block) ? roomLink(roomOf(block)) : "everything") }]),
      { name: "Until", cell: ({ until_ms: until }) => (until ? `${time(until)}, in ${duration((until - Date.now()) / 1_000)}` : "it is lifted") },
      ...(session.may("unblock") ? [{ name: "Actions", cell: lift }] : []),
    ],
    { empty },
  );
  const poll = new Poll(
    EVERY_MS,
    async (signal) => {
      const page = await session.api.get("blocks", { ...question, limit: PAGE, cursor: pager.cursor }, signal);
      table.show(page.blocks, ({ address, user }) => `${address} ${user}`);
      pager.came(page.next);
    },
    (error, wait) => {
      if (error?.status === 401) context.lost(error);
      else trouble.show(error, wait);
    },
  );
  return {
    element: section(title, trouble.element, table.element, pager.element),
    stop: () => poll.stop(),
    again: () => poll.now(),
  };
}
