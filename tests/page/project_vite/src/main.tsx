/** A page as a user of the package writes it, with all that the package has. */
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { WarrenClient } from "warren-client";
import { WarrenProvider, useConnectionState, usePresence, useRequest, useRoom } from "warren-client/react";
import { sse } from "warren-client/sse";
import { openStorage } from "warren-client/storage";
import { tabs } from "warren-client/tabs";

const asked = new URLSearchParams(location.search);
const storage = await openStorage({ name: "page" });
const client = new WarrenClient<{ CHAT: { text: string } }>(asked.get("url") ?? "/ws", {
  user: asked.get("user"),
  transport: tabs({ transport: sse() }),
  parts: [storage],
});

function Chat({ room }: { room: string }) {
  const [text, setText] = useState("");
  const { state, messages, send } = useRoom<{ text: string }>(room);
  const { count } = usePresence(room);
  const { data } = useRequest<{ word: string }>("echo", { word: "echo" });
  const connection = useConnectionState();
  return (
    <>
      <p id="state">{`${connection}, ${state}, ${count.users}, ${data?.word ?? ""}`}</p>
      <ul>{messages.map(({ seq, sender, payload }) => <li key={seq}>{`${sender}: ${payload.text}`}</li>)}</ul>
      <input value={text} onChange={({ target }) => setText(target.value)} />
      <button onClick={() => void send("CHAT", { text }, { includeSender: true })}>Say</button>
    </>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <WarrenProvider client={client}>
      <Chat room="package" />
    </WarrenProvider>
  </StrictMode>,
);
