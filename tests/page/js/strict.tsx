/** A page with React under StrictMode: two components in one room, and a request. */
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { WarrenClient } from "warren-client";
import { WarrenProvider, useConnectionState, usePresence, useRequest, useRoom } from "warren-client/react";

const asked = new URLSearchParams(location.search);
const room = asked.get("room")!;
const heard: unknown[] = [];
Object.assign(window, { heard, made: 0 });

function make() {
  (window as unknown as { made: number }).made++;
  return new WarrenClient(asked.get("url")!, { user: asked.get("user") });
}

function Chat() {
  const [text, setText] = useState("");
  const { state, messages, send } = useRoom<{ text: string }>(room, { onMessage: ({ payload }) => heard.push(payload.text) });
  const say = () => void send("CHAT", { text }, { includeSender: true }).then(() => setText(""));
  return (
    <>
      <p id="state">{state}</p>
      <ul id="messages">{messages.map(({ id, seq, payload }) => <li key={id ?? seq}>{payload.text}</li>)}</ul>
      <input value={text} onChange={({ target }) => setText(target.value)} />
      <button onClick={say}>Say</button>
    </>
  );
}

function People() {
  const { members, count } = usePresence(room);
  return <p id="people">{`${count.users}: ${members.map(({ user }) => user).sort().join()}`}</p>;
}

function Answer({ n }: { n: number }) {
  const { data, error, isWaiting } = useRequest<{ n: number }>("echo", { n });
  return <p id="answer">{isWaiting ? "waiting" : error ? error.code : JSON.stringify(data)}</p>;
}

function App() {
  const [n, setN] = useState(1);
  const [isThere, setThere] = useState(true);
  const connection = useConnectionState();
  return (
    <>
      <p id="connection">{connection}</p>
      {isThere && <Chat />}
      {isThere && <People />}
      <Answer n={n} />
      <button onClick={() => setN(n + 1)}>Ask</button>
      <button onClick={() => setThere(!isThere)}>Toggle</button>
    </>
  );
}

createRoot(document.body.appendChild(document.createElement("main"))).render(
  <StrictMode>
    {/* a new function with each rendering, as people write it */}
    <WarrenProvider client={() => make()}>
      <App />
    </WarrenProvider>
  </StrictMode>,
);
