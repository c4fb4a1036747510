/**
 * React's hooks for the client, on `useSyncExternalStore`: nothing is joined, asked or connected while rendering, so that rendering twice,
 * or on a server, does nothing twice and nothing there.
 */
import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { ReactNode } from "react";
import type { WarrenClient } from "./client.js";
import { WarrenError } from "./error.js";
import { NOBODY, NOWHERE, RequestStore, UNASKED, hold, roomStore, type PresenceView, type RequestView, type RoomView } from "./react_stores.js";
import type { Room } from "./room.js";
import type { Ack, Message, RequestOptions, SendOptions, State } from "./types.js";

export type { PresenceView, RequestView, RoomView } from "./react_stores.js";

type Client = WarrenClient<any>;
const Context = createContext<Client | null | undefined>(undefined);
const never = () => () => {};

export interface WarrenProviderProps {
  /** The client; or how to make it, which is done once, in the browser alone. */
  client: Client | (() => Client);
  children?: ReactNode;
}

/** Connects the client when it is mounted, and closes it when the last provider of this client is gone. */
export function WarrenProvider({ client: given, children }: WarrenProviderProps) {
  const ready = typeof given === "function" ? null : given;
  const make = useRef(given);
  const [made, setMade] = useState<Client | null>(null);
  useEffect(() => {
    // of a function only the first one counts: a new one comes with each rendering
    if (typeof make.current === "function" && !ready) make.current = make.current();
    const client = ready ?? (make.current as Client);
    setMade(client);
    return hold(client);
  }, [ready]);
  return createElement(Context.Provider, { value: ready ?? made }, children);
}

/** The client; null on a server and in the first rendering if the provider has to make it. */
export function useWarren<App = {}>(): WarrenClient<App> | null {
  const client = useContext(Context);
  if (client === undefined) throw new Error("there is no <WarrenProvider> around this component");
  return client;
}

/** The state of the connection. */
export function useConnectionState(): State {
  const client = useWarren();
  const subscribe = useCallback((then: () => void) => client?.on("state", then) ?? never(), [client]);
  return useSyncExternalStore(subscribe, () => client?.state ?? "idle", () => "idle");
}

export interface UseRoomOptions<Payload = any> {
  /** Hold the room with presence; `info` is what it shows of this client (JSON). */
  presence?: boolean | undefined;
  info?: unknown;
  /** How many messages `messages` has at most. Default 100; 0: none. */
  keep?: number | undefined;
  /** Called once for each message. The function of the last rendering counts. */
  onMessage?: ((message: Message<Payload>) => void) | undefined;
}

export interface UsedRoom<Payload = any> extends RoomView<Payload> {
  /** For what the hook does not offer. Null while the room is not held: use it in effects and event handlers. */
  room: () => Room<any> | null;
  send: (type: string, payload?: unknown, options?: SendOptions) => Promise<Ack | null>;
}

/** Hold a room while the component is mounted; components that hold the same room share it. `name` null: none. */
export function useRoom<Payload = any>(name: string | null, options: UseRoomOptions<Payload> = {}): UsedRoom<Payload> {
  const { presence = false, info, keep = 100, onMessage } = options;
  const client = useWarren();
  const store = useMemo(() => (client && name !== null ? roomStore(client, name, presence) : null), [client, name, presence]);
  const listener = useRef(onMessage);
  const shown = info === undefined ? undefined : JSON.stringify(info);
  // these effects come before the one that subscribes
  useEffect(() => {
    listener.current = onMessage;
  });
  useEffect(() => store?.keep(keep), [store, keep]);
  useEffect(() => store?.listen((message) => listener.current?.(message as Message<Payload>)), [store]);
  useEffect(() => {
    if (!store || shown === undefined) return;
    store.info = JSON.parse(shown);
    store.room?.roster?.update(store.info).catch(() => {}); // the client's event `error` tells
  }, [store, shown]);
  const view = useSyncExternalStore<RoomView<Payload>>(store?.subscribe ?? never, store?.view ?? nowhere, nowhere);
  const room = useCallback(() => store?.room ?? null, [store]);
  const send = useCallback<UsedRoom["send"]>(
    (type, payload = null, how = {}) =>
      client && name !== null ? client.send(type, name, payload, how) : Promise.reject(new WarrenError("closed", "there is no room")),
    [client, name],
  );
  return useMemo(() => ({ ...view, room, send }), [view, room, send]);
}

/** Who is in a room. It holds the room with presence. */
export function usePresence<Info = unknown>(name: string | null): PresenceView<Info> {
  const client = useWarren();
  const store = useMemo(() => (client && name !== null ? roomStore(client, name, true) : null), [client, name]);
  return useSyncExternalStore<PresenceView<Info>>(store?.subscribe ?? never, store?.presence ?? nobody, nobody);
}

export interface UsedRequest<Answer> extends RequestView<Answer> {
  /** Ask now; an earlier question is cancelled. */
  ask: (payload?: unknown, options?: RequestOptions) => Promise<Answer>;
}

/** Ask a service: whenever `payload` is another one, or, if it is undefined, by `ask` alone. Cancelled when the component goes. */
export function useRequest<Answer = unknown>(service: string, payload?: unknown, options: RequestOptions = {}): UsedRequest<Answer> {
  const client = useWarren();
  const [store] = useState(() => new RequestStore<Answer>());
  const how = useRef(options);
  useEffect(() => {
    how.current = options;
  });
  const ask = useCallback<UsedRequest<Answer>["ask"]>(
    (asked = null, more = {}) =>
      client
        ? store.ask(client, service, asked, { ...how.current, ...more })
        : Promise.reject(new WarrenError("closed", "there is no client yet: ask in an effect or an event handler")),
    [client, service, store],
  );
  const text = payload === undefined ? undefined : JSON.stringify(payload);
  useEffect(() => {
    let isOver = false;
    // not in this turn: StrictMode ends the first mounting at once, and nothing was asked then
    if (client && text !== undefined) queueMicrotask(() => isOver || ask(JSON.parse(text)).catch(() => {})); // the view tells
    return () => {
      isOver = true;
      store.cancel();
    };
  }, [client, ask, text, store]);
  const view = useSyncExternalStore<RequestView<Answer>>(store.subscribe, store.view, unasked);
  return useMemo(() => ({ ...view, ask }), [view, ask]);
}

const nowhere = () => NOWHERE;
const nobody = () => NOBODY;
const unasked = () => UNASKED;
